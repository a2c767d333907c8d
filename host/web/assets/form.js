// The form: it is sent as a whole with each action, and every answer says what
// is wrong and where.
import { $, element, post, say, unreachable } from './dom.js';
import { markTabs, reveal, startTabs } from './tabs.js';
import { signIn } from './signin.js';
import { runTest } from './test.js';

export function startForm() {
  const form = $('#form');
  startTabs();
  markTabs();
  showConditions(form);
  form.addEventListener('input', (event) => {
    if (event.target.name === 'name' || event.target.name === 'override' || event.target.name === 'runtime') return;
    tested(form, false);
    showConditions(form);
  });
  for (const button of document.querySelectorAll('.copy')) startCopy(button);
  tested(form, form.dataset.tested === 'true');
  form.addEventListener('submit', (event) => {
    const action = { 'generate-button': generate, 'test-button': test, 'save-button': save }[event.submitter?.id];
    if (event.submitter?.id === 'discard-button') return;
    event.preventDefault();
    if (!form.dataset.busy) (action ?? keep)(form);
  });
  const wrong = form.querySelector('[aria-invalid="true"]');
  if (wrong) focusOn(wrong);
}

function showConditions(form) {
  for (const row of form.querySelectorAll('[data-show]')) {
    const [selector, values] = row.dataset.show.split('=');
    row.hidden = !values.split('|').includes(form.elements['value.' + selector]?.value ?? '');
  }
}

function startCopy(button) {
  const source = document.getElementById(button.dataset.copy);
  const label = [...button.childNodes];
  button.hidden = false;
  button.addEventListener('click', async () => {
    source.select();
    try {
      await navigator.clipboard.writeText(source.value);
      button.textContent = 'Copied';
    } catch {
      button.textContent = 'Press Ctrl+C';
    }
    setTimeout(() => button.replaceChildren(...label), 2000);
  });
}

// tested tells whether the values as they are have passed a test.
export function tested(form, passed) {
  $('#override').hidden = passed;
  $('#save-button').classList.toggle('first', passed);
  $('#test-button').classList.toggle('first', !passed);
  if (passed) clearProblem($('#field-override'));
}

function values(form) {
  return new URLSearchParams(new FormData(form));
}

// send sends the form; it returns the answer, or null after telling what was
// wrong.
async function send(form, action) {
  clearProblems(form);
  let answer;
  form.dataset.busy = 'yes';
  try {
    const response = await post(form.dataset[action], values(form));
    answer = await response.json();
  } catch {
    return showProblems(form, [unreachable]);
  } finally {
    delete form.dataset.busy;
  }
  if (answer.draft) took(form, answer);
  return answer.problems ? showProblems(form, answer.problems) : answer;
}

// took notes what the server keeps from now on. Secrets leave the page.
function took(form, answer) {
  form.elements.draft.value = answer.draft;
  history.replaceState(null, '', answer.page);
  if (answer.problems?.some((p) => p.field && p.field !== 'name' && p.field !== 'override')) return; // they weren't taken
  for (const row of form.querySelectorAll('[data-secret]')) {
    const name = row.dataset.secret;
    const stored = (answer.stored ?? []).includes(name);
    form.elements['value.' + name].value = '';
    form.elements['secret.' + name].checked = false;
    row.hidden = !stored;
    row.querySelector('p').textContent = stored ? 'A value is stored. Leave this empty to keep it.' : '';
  }
}

async function keep(form) {
  await send(form, 'keep');
}

async function generate(form) {
  const region = $('#sign-in-status');
  const outcome = await signIn(region, () => send(form, 'generate'), `${form.dataset.connections}/`);
  if (!outcome) return;
  if (outcome.state?.kind === 'mismatch') return showMismatch(form, outcome.state);
  if (outcome.field) showProblems(form, [{ field: outcome.field, summary: outcome.text, suggestion: outcome.suggestion }]);
}

function showMismatch(form, state) {
  const section = $('#mismatch');
  for (const part of ['other', 'account', 'use', 'keep']) $('#mismatch-' + part)?.replaceChildren(state[part]);
  const answer = $('#mismatch-form');
  answer.action = `${form.dataset.connections}/${form.elements.draft.value}/account`;
  answer.elements.name.value = form.elements.name.value;
  section.hidden = false;
  section.scrollIntoView({ block: 'nearest' });
  answer.querySelector('button').focus();
}

async function test(form) {
  clearProblems(form);
  form.dataset.busy = 'yes';
  const end = await runTest(form.dataset.test, values(form));
  delete form.dataset.busy;
  if (end.draft) took(form, end);
  if (end.problems) showProblems(form, end.problems);
  tested(form, end.passed === true);
  if (end.passed) $('#save-button').focus();
}

async function save(form) {
  const answer = await send(form, 'save');
  if (answer?.saved) location.assign(answer.saved);
}

function clearProblem(input) {
  input.removeAttribute('aria-invalid');
  document.getElementById(input.id + '-problem')?.replaceChildren();
}

function clearProblems(form) {
  form.querySelectorAll('[aria-invalid]').forEach(clearProblem);
  $('#problems').replaceChildren();
  markTabs();
}

function showProblems(form, problems) {
  const rest = [];
  let first;
  for (const p of problems) {
    const input = p.field && document.getElementById('field-' + p.field);
    const place = input && document.getElementById(input.id + '-problem');
    if (!place) {
      rest.push(p);
      continue;
    }
    input.setAttribute('aria-invalid', 'true');
    place.textContent = [p.summary, p.suggestion].filter(Boolean).join(' ');
    first ??= input;
  }
  $('#problems').replaceChildren(...rest.map(notice));
  markTabs();
  if (first) focusOn(first);
  else $('#problems').focus();
  return null;
}

function notice(p) {
  const n = element('div', {}, element('p', {}, element('strong', { textContent: p.summary })));
  say(n, 'bad', n.firstChild, p.detail, p.suggestion);
  n.setAttribute('role', 'alert');
  return n;
}

function focusOn(input) {
  reveal(input);
  input.focus();
  input.scrollIntoView({ block: 'center' });
}
