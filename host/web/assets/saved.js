// The page of a saved connection: sign in again and test, watched.
import { $, post, say, unreachable } from './dom.js';
import { signIn } from './signin.js';
import { runTest } from './test.js';

export function startSaved() {
  history.replaceState(null, '', location.pathname); // "saved" is told once
  const region = $('#sign-in-status');
  $('#sign-in')?.addEventListener('submit', async (event) => {
    event.preventDefault();
    const form = event.target;
    const begin = async () => {
      try {
        const answer = await (await post(form.action, new URLSearchParams())).json();
        if (!answer.problems) return answer;
        queueMicrotask(() => say(region, 'bad', answer.problems[0].summary, answer.problems[0].suggestion));
      } catch {
        queueMicrotask(() => say(region, 'bad', unreachable.summary, unreachable.suggestion));
      }
      return null;
    };
    const told = await signIn(region, begin, form.dataset.state.replace(/[^/]+\/state$/, ''));
    if (told?.outcome === 'ready' || told?.state?.kind === 'mismatch') location.reload();
  });
  $('#test-saved').addEventListener('submit', async (event) => {
    event.preventDefault();
    const button = event.target.querySelector('button');
    if (button.dataset.busy) return;
    button.dataset.busy = 'yes';
    await runTest(event.target.action, new URLSearchParams(new FormData(event.target)));
    delete button.dataset.busy;
  });
}
