// Starts the built emulator of Box and the built connection page, and a browser.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import puppeteer from 'puppeteer-core';

const bin = fileURLToPath(new URL('../../../bin/', import.meta.url));

// patience bounds every wait, in milliseconds.
export const patience = 30_000;

// start starts a program that prints one line of JSON when it is ready.
async function start(name, args, home) {
  await access(join(bin, name)).catch(() => {
    throw new Error(`bin/${name} is missing: run \`make build\` at the root of the repository first`);
  });
  const child = spawn(join(bin, name), args, {
    stdio: ['pipe', 'pipe', 'inherit'], env: { PATH: process.env.PATH, HOME: home, XDG_DATA_HOME: home, TMPDIR: home },
  });
  const [line] = await once(createInterface({ input: child.stdout }), 'line', { signal: AbortSignal.timeout(patience) });
  return { child, info: JSON.parse(line) };
}

async function stop({ child }) {
  if (child.exitCode !== null) return;
  const gone = once(child, 'exit', { signal: AbortSignal.timeout(patience) });
  child.kill('SIGINT');
  await gone.catch(() => child.kill('SIGKILL'));
}

// open starts all of it. The emulator allows every sign-in at once.
export async function open() {
  const home = await mkdtemp(join(tmpdir(), 'page-'));
  const box = await start('boxsim', ['--listen', 'localhost:0', '--json', '--auto-consent', '--exit-with-stdin'], home);
  const web = await start('connectorctl', ['--json', 'web', '--port', '0'], home);
  const browser = await puppeteer.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', protocolTimeout: 4 * patience, timeout: 4 * patience,
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking', '--disable-component-update', '--disable-quic'],
  });
  return {
    box: box.info, web: web.info, browser,
    async close() {
      await browser.close();
      await stop(web);
      await stop(box);
      await rm(home, { recursive: true, force: true });
    },
  };
}
