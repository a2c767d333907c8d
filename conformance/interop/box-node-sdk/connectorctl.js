// Runs the built connectorctl on a home of its own, with a connection to the
// emulator.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

const binary = fileURLToPath(new URL('../../../bin/connectorctl', import.meta.url));

// patience bounds each command, in milliseconds: one may carry a large file.
const patience = 90_000;

// Connectorctl is a home with the connection "sdk", signed in.
export class Connectorctl {
  folder;

  // connect saves a connection to the emulator and signs in, as the emulator's
  // first user.
  static async connect(box) {
    await access(binary).catch(() => {
      throw new Error('bin/connectorctl is missing: run `make build` at the root of the repository first');
    });
    const ctl = new Connectorctl();
    ctl.folder = await mkdtemp(join(tmpdir(), 'ctl-'));
    const urls = ['authorize_url', 'token_url', 'revoke_url', 'api_url', 'upload_url', 'client_id'];
    await ctl.#run(
      ['connection', 'create', 'sdk', '--plugin', 'box-connection',
        ...urls.flatMap((name) => ['--set', `${name}=${box.info[name]}`]), '--secret', 'client_secret=@-'],
      { stdin: box.info.client_secret },
    );
    await ctl.#run(['--json', 'connection', 'sign-in', 'sdk', '--port', '0', '--no-browser'], {
      each: async (line) => {
        const event = JSON.parse(line);
        if (event.event !== 'url') return;
        const page = await fetch(event.url, { signal: AbortSignal.timeout(patience) });
        await page.text();
      },
    });
    return ctl;
  }

  // run runs an operation of box-operations and returns its output documents.
  async run(operation, input, ...flags) {
    const out = await this.#run(['run', 'sdk', 'box-operations', operation, '--input', JSON.stringify(input), ...flags]);
    return out.split('\n').filter(Boolean).map((line) => JSON.parse(line));
  }

  // one is run for an operation that brings one document.
  async one(operation, input, ...flags) {
    const documents = await this.run(operation, input, ...flags);
    if (documents.length !== 1) throw new Error(`${operation} brought ${documents.length} documents`);
    return documents[0];
  }

  // path names a file in the home.
  path(name) {
    return join(this.folder, name);
  }

  remove() {
    return rm(this.folder, { recursive: true });
  }

  // run runs connectorctl and returns its standard output; each is called with
  // every line of it as it comes.
  async #run(args, { stdin = '', each } = {}) {
    const child = spawn(binary, ['--home', this.path('home'), ...args], {
      env: { PATH: process.env.PATH, HOME: this.folder, NO_PROXY: '*' },
      signal: AbortSignal.timeout(patience),
    });
    const ended = once(child, 'close');
    const called = [];
    if (each) createInterface({ input: child.stdout }).on('line', (line) => called.push(each(line)));
    child.stdin.on('error', () => {}).end(stdin); // a command that reads nothing closes it
    const [out, err, [code]] = await Promise.all([each ? '' : text(child.stdout), text(child.stderr), ended]);
    await Promise.all(called);
    if (code !== 0) throw Object.assign(new Error(`connectorctl ${args.join(' ')} ended with ${code}: ${err}`), { code });
    return out;
  }
}
