// The process of a plugin: its first line, its socket, its end.
import 'reflect-metadata';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { webcrypto, randomBytes } from 'node:crypto';
import { chmodSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import * as x509 from '@peculiar/x509';
import { service } from './contract.js';

const version = 1;
const maxMessage = 4 << 20;

/** Serves until the host ends the process. */
export async function serve(connector) {
  process.umask(0o077);
  process.on('SIGINT', () => {}); // a person interrupts the host, which ends its plugins itself
  process.on('uncaughtException', () => log('error', 'a call failed in a way that was not foreseen'));
  process.on('unhandledRejection', () => log('error', 'a call failed in a way that was not foreseen'));

  const socket = join(process.env.PLUGIN_UNIX_SOCKET_DIR || tmpdir(), `plugin${randomBytes(6).toString('hex')}`);
  watchHost(socket);
  const identity = process.env.PLUGIN_CLIENT_CERT ? await certificate() : undefined;
  const credentials = identity
    ? ServerCredentials.createSsl(Buffer.from(process.env.PLUGIN_CLIENT_CERT), [{ private_key: identity.key, cert_chain: identity.chain }], true)
    : ServerCredentials.createInsecure();

  const server = new Server({ 'grpc.max_receive_message_length': maxMessage, 'grpc.max_send_message_length': maxMessage });
  server.addService(service('integration.connector.v1.ConnectorService'), connector);
  server.addService(service('grpc.health.v1.Health'), { Check: health });
  let ending = false;
  const end = (within) => {
    if (ending) return;
    ending = true;
    const out = () => { rmSync(socket, { force: true }); process.exit(0); };
    setTimeout(out, within).unref();
    server.tryShutdown(out);
  };
  server.addService(service('plugin.GRPCController'), { Shutdown: (_, answer) => { answer(null, {}); end(1000); } });
  process.on('SIGTERM', () => end(9000));

  server.bindAsync(`unix:${socket}`, credentials, (err) => {
    if (err) {
      process.stderr.write('ledger-connection: the socket could not be made in the folder that the host named\n');
      process.exit(1);
    }
    chmodSync(socket, 0o600);
    process.stdout.write(`1|${version}|unix|${socket}|grpc|${identity?.der ?? ''}\n`);
  });
}

function health(call, answer) {
  if (call.request.service && call.request.service !== 'plugin') return answer({ code: 5, details: 'unknown service' });
  return answer(null, { status: 1 });
}

/** Ends the process with its host, busy or not: a thread of its own reads the pipe that the host holds open. */
function watchHost(socket) {
  const fd = Number(process.env.CONNECTOR_DEATH_FD);
  delete process.env.CONNECTOR_DEATH_FD;
  if (!Number.isInteger(fd) || fd < 3) return;
  const source = `
    const { workerData } = require('node:worker_threads');
    const net = require('node:net'), fs = require('node:fs');
    const pipe = new net.Socket({ fd: workerData.fd, readable: true, writable: false });
    const end = () => { fs.rmSync(workerData.socket, { force: true }); process.kill(process.pid, 'SIGKILL'); };
    pipe.on('data', () => {}).on('end', end).on('error', end).on('close', end);`;
  new Worker(source, { eval: true, workerData: { fd, socket } }).unref();
}

/** Makes a key and its certificate for this process alone. */
async function certificate() {
  x509.cryptoProvider.set(webcrypto);
  const keys = await webcrypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
  const made = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: randomBytes(8).toString('hex').replace(/^./, '1'),
    name: 'CN=localhost',
    notBefore: new Date(Date.now() - 300_000),
    notAfter: new Date(Date.now() + 365 * 86_400_000),
    keys,
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    extensions: [
      new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: 'localhost' }]),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature),
    ],
  });
  const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  return {
    key: Buffer.from(`-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n`),
    chain: Buffer.from(made.toString('pem')),
    der: Buffer.from(made.rawData).toString('base64').replace(/=+$/, ''),
  };
}

/** Writes a line of the form that hosts read. */
export function log(level, message) {
  const now = new Date().toISOString().replace(/(\.\d{3})Z$/, '$1000Z');
  process.stderr.write(`${JSON.stringify({ '@level': level, '@message': message, '@timestamp': now })}\n`);
}
