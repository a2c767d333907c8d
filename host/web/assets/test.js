// A connection test, shown as it runs.
import { $, element, post, unreachable } from './dom.js';

// runTest runs a test and shows each check as it ends. It resolves with how it
// ended: passed, and the problems of a form that wasn't taken.
export async function runTest(address, body) {
  const list = $('#checks');
  const verdict = $('#verdict');
  list.replaceChildren();
  verdict.className = '';
  verdict.textContent = 'Testing…';
  $('#test').hidden = false;
  const result = { passed: false };
  try {
    const response = await post(address, body);
    if (!response.ok) {
      $('#test').hidden = true;
      return { ...(await response.json()), passed: false };
    }
    for await (const line of lines(response.body)) {
      if (line.draft) Object.assign(result, line);
      if (line.check) list.append(row(line.check));
      if (line.end) Object.assign(result, { passed: line.end.passed, problem: line.end.problem });
    }
  } catch {
    result.problem = unreachable;
  }
  if (result.problem) list.append(element('li', { className: 'check failed' }, remedy(result.problem)));
  verdict.className = 'notice ' + (result.passed ? 'good' : 'bad');
  verdict.textContent = result.passed ? 'The test passed.' : "The test didn't pass.";
  return result;
}

async function* lines(stream) {
  let rest = '';
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split('\n');
    rest = parts.pop();
    for (const part of parts) if (part) yield JSON.parse(part);
  }
}

function row(check) {
  return element('li', { className: 'check ' + check.status },
    element('span', { className: 'mark', textContent: check.status_text }),
    element('div', {},
      element('strong', { textContent: check.title }), check.message && `: ${check.message}`, ' ',
      element('small', { textContent: check.place }),
      check.problem && remedy(check.problem)));
}

function remedy(p) {
  return element('div', { className: 'remedy' },
    ...[p.summary, p.detail, p.suggestion].filter(Boolean).map((t) => element('p', { textContent: t })));
}
