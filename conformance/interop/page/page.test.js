// The connection page held against axe-core, which finds what people with
// assistive technology stumble over, and against Chromium's accessibility tree.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import axe from 'axe-core';

import { open, patience } from './site.js';

let site;
let page;

before(async () => {
  site = await open();
  page = await site.browser.newPage();
  page.setDefaultTimeout(patience);
  await page.goto(site.web.url);
});

after(() => site?.close());

// sound wants no serious or critical fault, in both colour schemes and on a
// phone.
async function sound(where) {
  for (const [scheme, width] of [['light', 900], ['dark', 360]]) {
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }, { name: 'prefers-reduced-motion', value: 'reduce' }]);
    await page.setViewport({ width, height: 800 });
    await page.evaluate(axe.source);
    const { violations, passes } = await page.evaluate(() => window.axe.run(document));
    const bad = violations.filter((v) => v.impact === 'serious' || v.impact === 'critical');
    assert.ok(passes.length > 5, `axe looked at nothing on ${where}`);
    assert.deepEqual(bad.map((v) => [v.id, v.help, v.nodes.map((n) => n.html)]), [], `${where}, ${scheme}`);
    const sideways = await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
    assert.equal(sideways, false, `${where} scrolls sideways at ${width}`);
  }
  await page.setViewport({ width: 900, height: 800 });
}

async function fill(name, value) {
  await page.$eval(`#field-${name}`, (e, v) => {
    e.value = v;
    e.dispatchEvent(new Event('input', { bubbles: true }));
  }, value);
}

async function shows(selector, text) {
  await page.waitForFunction((s, t) => document.querySelector(s)?.innerText.includes(t), {}, selector, text);
}

// described is what the accessibility tree says about an element.
async function described(selector) {
  const client = await page.createCDPSession();
  const { root } = await client.send('DOM.getDocument');
  const { nodeId } = await client.send('DOM.querySelector', { nodeId: root.nodeId, selector });
  const { nodes } = await client.send('Accessibility.getPartialAXTree', { nodeId, fetchRelatives: false });
  await client.detach();
  const properties = Object.fromEntries(nodes[0].properties.map((p) => [p.name, p.value.value]));
  return { name: nodes[0].name?.value ?? '', description: nodes[0].description?.value ?? '', invalid: properties.invalid };
}

test('a check that finds nothing would be worthless', async () => {
  await page.evaluate(() => document.body.append(Object.assign(document.createElement('input'), { id: 'nameless' })));
  await assert.rejects(sound('a page with a nameless input'), /nameless/);
  await page.reload();
});

test('the empty list', async () => {
  await shows('main', 'There is no connection yet.');
  await sound('the empty list');
});

test('the form, each field named and described', async () => {
  await page.goto(`${site.web.base}/new`);
  await sound('the first tab');
  await page.click('summary');
  await sound('the first tab, unfolded');
  await page.click('#tab-2-button');
  await sound('the second tab');
  const fields = await page.$$eval('#form [id^=field-]:is(input, select, textarea)', (all) => all.map((e) => ({
    id: e.id, label: document.querySelector(`label[for="${e.id}"]`)?.innerText ?? '',
    help: document.getElementById(e.id + '-help')?.textContent ?? '',
  })));
  assert.ok(fields.length >= 12, `only ${fields.length} fields`);
  for (const f of fields) {
    const hidden = await page.$eval('#' + f.id, (e) => e.closest('.panel')?.hidden && e.closest('.panel').id);
    if (hidden) await page.click(`#${hidden}-button`);
    if (await page.$eval('#' + f.id, (e) => e.offsetParent === null)) continue; // the clear box of a secret that isn't stored
    const { name, description } = await described('#' + f.id);
    assert.notEqual(name, '', `${f.id} has no name`);
    assert.ok(description.includes(f.help), `${f.id} is described as ${description}`);
  }
});

test('errors at their fields', async () => {
  await fill('api_url', 'not a URL');
  await page.click('#tab-2-button');
  await page.click('#test-button');
  await shows('#field-api_url-problem', 'URL');
  const field = await described('#field-api_url');
  assert.equal(field.invalid, 'true');
  assert.match(field.description, /can't be used/);
  await sound('the form with errors');
});

test('keyboard only: tabs by arrows, and every control can be reached', async () => {
  await page.focus('#tab-1-button');
  await page.keyboard.press('ArrowRight');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'tab-2-button');
  assert.equal(await page.$eval('#tab-2', (e) => e.hidden), false);
  const reached = new Set();
  for (let i = 0; i < 40; i++) {
    await page.keyboard.press('Tab');
    reached.add(await page.evaluate(() => document.activeElement.id));
  }
  for (const id of ['field-client_id', 'field-client_secret', 'field-scopes', 'generate-button', 'test-button', 'save-button', 'discard-button']) {
    assert.ok(reached.has(id), `${id} can't be reached with the Tab key`);
  }
});

test('sign-in, test and save', async () => {
  const { box } = site;
  for (const [name, value] of Object.entries({
    name: 'sales', authorize_url: box.authorize_url, token_url: box.token_url, revoke_url: box.revoke_url, api_url: box.api_url,
    client_id: box.client_id, client_secret: box.client_secret,
  })) await fill(name, value);
  await page.click('#generate-button');
  await shows('#sign-in-status', 'Access token received and generated');
  await sound('the form with a token');
  await page.click('#test-button');
  await shows('#verdict', 'The test passed.');
  await sound('the form after its test');
  await page.click('#save-button');
  await shows('main', 'The connection was saved.');
  await sound('the saved connection');
  await page.click('a.danger');
  await shows('h1', 'Delete');
  await sound('the question before a deletion');
});

test('the other pages', async () => {
  for (const path of ['/', '/audit', '/nowhere', '/account/local/oauth2/callback?state=forged&code=x']) {
    await page.goto(site.web.base + path);
    await sound(path);
  }
});
