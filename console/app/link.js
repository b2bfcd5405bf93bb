// A sign-in link, `#k=TOKEN&room=NAME`: it works once, so it is taken out of the address before anything else.

export const USED = 'This link was used already or has expired. Press Enter in the terminal where the demo runs for another one.';

/** What the address signs in with: { token, room }, or null. It is gone from the address and its history afterwards. */
export function takeLink(location, history) {
  const given = new URLSearchParams(location.hash.slice(1));
  const [token, room] = [given.get('k'), given.get('room')];
  if (!token) return null;
  history.replaceState(null, '', room ? `#/rooms/${encodeURIComponent(room)}` : '#/');
  return { token, room };
}
