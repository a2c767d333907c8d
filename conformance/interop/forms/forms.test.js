// The Box connector's schema and layout, unchanged, as form libraries of others
// draw them in Chromium.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { access, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { build } from 'esbuild';
import puppeteer from 'puppeteer-core';

const folder = fileURLToPath(new URL('.', import.meta.url));
const ctl = join(folder, '../../../bin/connectorctl');
const patience = 60_000;

let browser;
let home;
let descriptor;

before(async () => {
  await access(ctl).catch(() => {
    throw new Error('bin/connectorctl is missing: run `make build` at the root of the repository first');
  });
  home = await mkdtemp(join(tmpdir(), 'forms-'));
  const { stdout } = await promisify(execFile)(ctl, ['--home', home, '--json', 'plugin', 'describe', 'box-connection'], { timeout: patience });
  descriptor = JSON.parse(stdout);
  browser = await puppeteer.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', timeout: 2 * patience, protocolTimeout: 2 * patience,
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking', '--disable-component-update', '--disable-quic'],
  });
});

after(async () => {
  await browser?.close();
  if (home) await rm(home, { recursive: true, force: true });
});

// titles are the fields' in the order of the layout, by tab.
function tabs() {
  const controls = (e) => (e.type === 'Control' ? [descriptor.schema.properties[e.scope.split('/').pop()].title] : e.elements.flatMap(controls));
  return descriptor.layout.elements.map((tab) => ({ title: tab.label, fields: controls(tab) }));
}

async function mounted(library, form) {
  const { outputFiles } = await build({
    entryPoints: [join(folder, library)], bundle: true, write: false, jsx: 'automatic', minify: true, logLevel: 'error',
    define: { 'process.env.NODE_ENV': '"production"' },
  });
  const page = await browser.newPage();
  page.setDefaultTimeout(patience);
  const faults = [];
  page.on('pageerror', (e) => faults.push(e.message));
  await page.setContent('<!doctype html><html lang="en"><body><div id="form"></div></body></html>');
  await page.addScriptTag({ content: outputFiles[0].text });
  const defaults = Object.fromEntries(Object.entries(descriptor.schema.properties).filter(([, p]) => 'default' in p).map(([name, p]) => [name, p.default]));
  await page.evaluate((f) => window.mount(f), { ...form, schema: descriptor.schema, layout: descriptor.layout, data: { ...defaults, api_url: 'not a URL' } });
  await page.waitForSelector('label');
  return { page, faults };
}

// labels are the fields' that are shown, without the mark of required ones.
function labels(page) {
  return page.$$eval('label', (all) => all.filter((l) => l.offsetParent !== null).map((l) => l.textContent.replace(/[\s*\u2009]+$/, '')));
}

for (const look of ['vanilla', 'material']) {
  test(`JSON Forms, ${look}: the same tabs, fields, order, masks and errors`, async () => {
    const { page, faults } = await mounted('jsonforms.jsx', { look });
    const buttons = look === 'vanilla' ? '.categorization-master button, .categorization-master li' : '[role=tab]';
    assert.deepEqual(await page.$$eval(buttons, (all) => [...new Set(all.map((b) => b.textContent))]), tabs().map((t) => t.title));
    for (const [i, tab] of tabs().entries()) {
      await page.$$eval(buttons, (all, title) => all.filter((b) => b.textContent === title).at(-1).click(), tab.title);
      await page.waitForFunction((title) => [...document.querySelectorAll('label')].some((l) => l.textContent.startsWith(title)), {}, tab.fields[0]);
      assert.deepEqual(await labels(page), tab.fields, tab.title);
      const text = await page.$eval('#form', (e) => e.innerText);
      if (i === 0) assert.match(text, /must match format "uri"/);
      else assert.equal(await page.$$eval('input[type=password]', (all) => all.length), 1);
    }
    assert.ok((await page.evaluate(() => window.errors)).includes('/api_url'));
    assert.deepEqual(faults, []);
    await page.close();
  });
}

test('RJSF: the same fields, order, masks and errors', async () => {
  const { page, faults } = await mounted('rjsf.jsx', {});
  assert.deepEqual(await labels(page), tabs().flatMap((t) => t.fields));
  assert.equal(await page.$eval('input[type=password]', (e) => e.id), 'root_client_secret');
  await page.type('#root_api_url', '!');
  await page.waitForFunction(() => document.querySelector('#root_api_url__error')?.innerText.includes('format "uri"'));
  assert.deepEqual(faults, []);
  await page.close();
});
