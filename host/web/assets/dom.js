// Small helpers for building what is shown. Text is only ever text.
export const $ = (selector) => document.querySelector(selector);

export function element(name, properties = {}, ...children) {
  const e = Object.assign(document.createElement(name), properties);
  e.append(...children.filter((c) => c !== undefined && c !== null && c !== ''));
  return e;
}

// say fills a live region with paragraphs, its look being good, bad, warn or
// empty.
export function say(region, look, ...texts) {
  region.className = 'notice' + (look ? ' ' + look : '');
  region.replaceChildren(...texts.filter(Boolean).map((t) => (t instanceof Node ? t : element('p', { textContent: t }))));
  region.hidden = false;
}

// post sends a form's values; the answer is JSON.
export function post(address, body) {
  return fetch(address, {
    method: 'POST', body, headers: { Accept: 'application/json' }, credentials: 'same-origin', redirect: 'error',
  });
}

export const unreachable = {
  code: 'UNREACHABLE', summary: 'The server could not be reached.', suggestion: 'Check that it still runs, then try again.',
};
