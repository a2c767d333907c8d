// Starts the built emulator of Box and steers it through its control API.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const binary = fileURLToPath(new URL('../../../bin/boxsim', import.meta.url));

// patience bounds every wait for the emulator, in milliseconds.
const patience = 15_000;

// Boxsim is a running emulator that allows every sign-in at once.
export class Boxsim {
  #child;
  #info;

  // start starts an emulator on a free port. It ends with this process at the
  // latest, as its standard input does.
  static async start() {
    await access(binary).catch(() => {
      throw new Error('bin/boxsim is missing: run `make build` at the root of the repository first');
    });
    const sim = new Boxsim();
    sim.#child = spawn(binary, ['--listen', 'localhost:0', '--json', '--auto-consent', '--exit-with-stdin'], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { PATH: process.env.PATH },
    });
    const lines = createInterface({ input: sim.#child.stdout });
    try {
      const [line] = await once(lines, 'line', { signal: AbortSignal.timeout(patience) });
      sim.#info = JSON.parse(line);
    } catch (cause) {
      sim.#child.kill('SIGKILL');
      throw new Error('boxsim did not start', { cause });
    }
    return sim;
  }

  // stop ends the emulator and waits until its process is gone.
  async stop() {
    if (this.#child.exitCode !== null) return;
    const gone = once(this.#child, 'exit', { signal: AbortSignal.timeout(patience) });
    this.#child.stdin.end();
    await gone.catch((cause) => {
      this.#child.kill('SIGKILL');
      throw new Error('boxsim did not end', { cause });
    });
  }

  get info() {
    return this.#info;
  }

  // consent takes the parameters of an authorize URL of Box to the emulator,
  // as a browser that was sent there, and returns those of the callback.
  async consent(authorizeUrl) {
    const target = new URL(this.#info.authorize_url);
    target.search = new URL(authorizeUrl).search;
    const response = await fetch(target, { redirect: 'manual', signal: AbortSignal.timeout(patience) });
    await response.body?.cancel();
    if (response.status !== 302) throw new Error(`the consent page answered ${response.status}`);
    return new URL(response.headers.get('location')).searchParams;
  }

  // expire ends an access token as if its time had passed.
  expire(token) {
    return this.#control('POST', '/tokens/expire', { token });
  }

  // requests lists the requests that the emulator has seen.
  async requests(query) {
    return (await this.#control('GET', `/requests?${new URLSearchParams(query)}`)).requests;
  }

  // setKnobs changes the emulator's behaviour.
  setKnobs(knobs) {
    return this.#control('PATCH', '/knobs', knobs);
  }

  // addFault makes requests fail.
  addFault(fault) {
    return this.#control('POST', '/faults', fault);
  }

  // state tells what is alive, and how the client has treated its tokens.
  state() {
    return this.#control('GET', '/state');
  }

  async #control(method, path, body) {
    const response = await fetch(this.#info.control_url + path, {
      method,
      headers: { authorization: `Bearer ${this.#info.control_token}` },
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(patience),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response.json();
  }
}
