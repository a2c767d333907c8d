// The conformance suite, as an engine's team runs it on the built connector.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

test('the connector is conformant, and declares every capability', { timeout: 600_000 }, async () => {
  const args = ['run', here('dist/ledger-connection'), '--profile', here('ledger.json'), '--parallel', '2', '--report', 'json', '--out', here('dist')];
  const { code, output } = await new Promise((done) => {
    execFile(here('../../../bin/connector-conformance'), args, { maxBuffer: 16 << 20 }, (err, stdout, stderr) => done({ code: err?.code ?? 0, output: stdout + stderr }));
  });
  assert.equal(code, 0, output);
  assert.match(output, /: conformant/);
  const { results } = JSON.parse(await readFile(here('dist/conformance.json')));
  const excused = results.filter((r) => r.verdict === 'not_applicable').map((r) => r.id);
  assert.ok(results.length > 100 && excused.length <= 5, `too much isn't applicable: ${excused}`);
});
