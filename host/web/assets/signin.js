// A sign-in in a window of its own, watched from here.
import { element, say } from './dom.js';
import { channelName } from './ending.js';

const lookEvery = 500; // how often the window is looked at
const lastWords = 1500; // how long after its end the window's message may come

// leave ends the watch of the sign-in before, whose window is closed.
let leave = () => {};

// signIn opens a window, begins a sign-in in it, and tells in the region how it
// goes. begin returns the server's answer, or null. It resolves with what the
// window told, or null if the sign-in didn't begin.
export async function signIn(region, begin, connections) {
  leave();
  const before = [...region.childNodes];
  const look = region.className;
  const popup = window.open('', '_blank', 'width=640,height=760'); // in the click, or it would be blocked
  say(region, '', 'Beginning the sign-in…');
  const answer = await begin();
  if (!answer?.sign_in) {
    popup?.close();
    region.className = look;
    region.replaceChildren(...before);
    return null;
  }
  const s = answer.sign_in;
  const waiting = () => say(region, '', `Waiting for you to allow the access at ${s.host}, in the new window.`, advice(s.redirect_uri));
  waiting();
  if (popup) popup.location = s.url;
  else say(region, 'warn', 'The browser blocked the new window.', element('p', {}, element('a', { href: s.url, target: '_blank', textContent: `Open ${s.host}` })));
  const told = await ending(s, popup, region);
  if (!told) return null;
  if (told.outcome === 'timeout') {
    say(region, 'bad', 'No answer came in time.', advice(s.redirect_uri, true), 'Then begin the sign-in again.');
    return told;
  }
  try {
    const response = await fetch(`${connections}${s.connection}/state`, { headers: { Accept: 'application/json' } });
    told.state = await response.json();
  } catch {
    // what the window told is enough
  }
  if (told.outcome === 'ready') say(region, 'good', told.state?.text ?? told.text, told.state?.suggestion);
  else say(region, 'bad', told.text, told.suggestion);
  return told;
}

// advice names what must be registered, byte for byte.
function advice(redirectURI, failed) {
  return element('p', {},
    failed ? 'If the service showed an error about the redirect URI, register exactly ' : 'An error about the redirect URI there? Register exactly ',
    element('code', { textContent: redirectURI }), ', with an application for user sign-in (OAuth 2.0).');
}

// ending waits for what the window tells, until the sign-in has expired or
// another one begins, which is null. A window that is gone says so, but the
// waiting goes on: some services hide their window from the one that opened it.
function ending(s, popup, region) {
  return new Promise((resolve) => {
    const channel = new BroadcastChannel(channelName);
    let gone = 0;
    const looking = setInterval(() => {
      if (!popup?.closed) return;
      gone += lookEvery;
      if (gone < lastWords) return;
      clearInterval(looking);
      say(region, 'warn', 'The window was closed before the sign-in ended, and nothing was changed.', 'Begin the sign-in again.', advice(s.redirect_uri, true));
    }, lookEvery);
    const done = (told) => {
      clearInterval(looking);
      clearTimeout(expiry);
      channel.close();
      leave = () => {};
      resolve(told);
    };
    const expiry = setTimeout(() => done({ outcome: 'timeout' }), s.milliseconds);
    channel.addEventListener('message', ({ data }) => {
      if (data?.connection === s.connection) done(data);
    });
    leave = () => {
      popup?.close();
      done(null);
    };
  });
}
