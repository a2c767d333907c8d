// Tabs after the ARIA authoring practices: arrow keys, Home and End move, and
// only the chosen tab is in the order of the Tab key.
import { $, element } from './dom.js';

export function startTabs() {
  const list = $('#tabs');
  const panels = [...document.querySelectorAll('.panel')];
  if (panels.length < 2) return;
  const tabs = panels.map((panel) => {
    const tab = element('button', { type: 'button', id: panel.id + '-button', textContent: panel.dataset.title });
    tab.setAttribute('role', 'tab');
    tab.setAttribute('aria-controls', panel.id);
    panel.setAttribute('role', 'tabpanel');
    panel.setAttribute('aria-labelledby', tab.id);
    panel.querySelector('h2').hidden = true;
    tab.addEventListener('click', () => showTab(panel.id));
    list.append(tab);
    return tab;
  });
  list.addEventListener('keydown', (event) => {
    const at = tabs.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    const tab = tabs[(to + tabs.length) % tabs.length];
    tab.focus();
    tab.click();
  });
  list.hidden = false;
  const wrong = panels.find((p) => p.querySelector('[aria-invalid="true"]'));
  const draft = $('#form').elements.draft.value;
  showTab((wrong ?? panels.find((p) => p.id === sessionStorage.getItem('tab:' + draft)) ?? panels[0]).id);
}

export function showTab(id) {
  for (const panel of document.querySelectorAll('.panel')) {
    const tab = document.getElementById(panel.id + '-button');
    if (!tab) return;
    const chosen = panel.id === id;
    panel.hidden = !chosen;
    tab.setAttribute('aria-selected', String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
  }
  const draft = $('#form').elements.draft.value;
  if (draft) sessionStorage.setItem('tab:' + draft, id);
}

// reveal shows the tab, and unfolds the group, that an element is in.
export function reveal(target) {
  const panel = target.closest('.panel');
  if (panel) showTab(panel.id);
  const folded = target.closest('details');
  if (folded) folded.open = true;
}

// markTabs marks the tabs that have something wrong in them.
export function markTabs() {
  for (const panel of document.querySelectorAll('.panel')) {
    const tab = document.getElementById(panel.id + '-button');
    if (!tab) continue;
    const wrong = panel.querySelectorAll('[aria-invalid="true"]').length;
    tab.classList.toggle('wrong', wrong > 0);
    tab.replaceChildren(panel.dataset.title, ...(wrong ? [element('span', { className: 'count' }, ` ${wrong}`, element('span', { className: 'sr', textContent: ' to correct' }))] : []));
  }
}
