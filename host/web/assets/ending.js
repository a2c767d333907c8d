// The window of a sign-in: it tells the window that began how it ended, in
// fixed words, and closes.
export const channelName = 'connection-sign-in';

const closeAfter = 1200; // long enough to be read out or seen

export function tellEnding() {
  history.replaceState(null, '', location.pathname); // the code is spent; nobody needs it in the history
  const { outcome, connection, field, title, text, suggestion } = document.querySelector('#ending').dataset;
  if (!connection) return;
  const channel = new BroadcastChannel(channelName);
  channel.postMessage({ outcome, connection, field, title, text, suggestion });
  channel.close();
  setTimeout(() => window.close(), closeAfter);
}
