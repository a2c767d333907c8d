// Makes dist/ledger-connection: one file that a host can copy and start.
import { build } from 'esbuild';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const contract = fileURLToPath(new URL('../../../proto/', import.meta.url));

const root = new protobuf.Root();
root.resolvePath = (_, target) => (target.startsWith('integration/') ? contract + target
  : target.startsWith('google/') ? target : `${here}proto/${target}`);
for (const file of ['integration/connector/v1/connector.proto', 'process.proto', 'health.proto', 'rpc.proto']) {
  root.loadSync(file, { keepCase: true });
}
await mkdir(`${here}dist`, { recursive: true });
await writeFile(`${here}dist/contract.json`, JSON.stringify(root.toJSON()));

for (const name of ['ledger-connection', 'ledger-service']) {
  const outfile = `${here}dist/${name}`;
  await build({
    entryPoints: [`${here}src/${name}.js`],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    legalComments: 'none',
    logLevel: 'warning',
    banner: { js: '#!/usr/bin/env node' },
  });
  await chmod(outfile, 0o755);
}
