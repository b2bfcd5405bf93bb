// The console: signed in or not, and which page.
import { Api } from '/console/lib/api.js';
import { $, h, icon, replace } from '/console/lib/dom.js';
import { keyCard } from './keycard.js';
import { USED, takeLink } from './link.js';
import { onAir } from './onair.js';
import { isAsking } from './question.js';
import { RoomPage } from './room.js';
import { RoomsPage } from './rooms.js';
import { Session } from './session.js';
import { signIn } from './signin.js';

const main = $('#content');
let [session, page, shown] = [null, null, null];

function roomIn(hash) {
  const name = /^#\/rooms\/(.+)$/.exec(hash)?.[1] ?? null;
  try {
    return name && decodeURIComponent(name);
  } catch {
    return name;
  }
}

async function route() {
  if (location.hash === '#content') { // the skip link
    history.replaceState(null, '', shown ?? '#/');
    return main.focus();
  }
  const name = roomIn(location.hash);
  const hash = name ? location.hash : '#/';
  if (!session || hash === shown) return;
  if (page?.inCall) {
    history.replaceState(null, '', shown);
    if (isAsking() || !(await page.confirmLeave())) return;
    history.pushState(null, '', hash);
  }
  page?.close();
  onAir(null);
  shown = hash;
  page = name ? new RoomPage(name, { session, signOut }) : new RoomsPage({ session, signOut });
  replace(main, page.element);
  page.shown();
  scrollTo(0, 0);
}

function bar(extra = null) {
  replace($('#top'), h('a', { class: 'brand grow', href: '#/' }, h('img', { src: '/console/app/icon.svg', alt: '', width: 28, height: 28 }), 'Aside'), extra);
}

function enter(opened) {
  session = opened;
  session.watch({
    soon: () => page.tell('Your key expires in five minutes or less. Then you are signed out, and out of the room: sign in with another key before.'),
    over: () => signOut('Your key has expired. You are signed out, and have left the room if you were in one.'),
  });
  bar(keyCard(session, async () => { if (!page.inCall || (await page.confirmLeave())) signOut(null); }));
  route();
}

/** Nobody is signed in; a call that was up is over. */
function leave() {
  page?.close();
  session?.close();
  $('dialog[open]')?.close();
  [page, session, shown] = [null, null, null];
  onAir(null);
  bar();
}

/** Back to the form. */
function signOut(why = 'Your key is no longer good: it has expired or was deleted. You have left the room if you were in one.') {
  leave();
  Session.forget();
  signIn(main, { why, done: enter });
}

async function start() {
  bar();
  onAir(null);
  const link = takeLink(location, history);
  if (link) return signInBy(link);
  const key = Session.stored();
  if (!key) return signIn(main, { why: null, done: enter });
  attempt(() => Session.open(key), () => signOut());
}

/** The link's token becomes a key, which is kept as if it had been typed. Who is signed in already needs no link. */
function signInBy({ token }) {
  const kept = Session.stored();
  let key = null;
  const exchange = async () => {
    key ??= (await new Api().post('/session', { token })).key;
    return Session.open(key);
  };
  attempt(exchange, () => (kept ? attempt(() => Session.open(kept), () => signOut(USED)) : signOut(USED)));
}

/** Enters with what `open` gives; `refused` when the key or the link is not good, else it may be tried again. */
async function attempt(open, refused) {
  replace(main, h('p', { class: 'empty' }, 'Signing in…'));
  try {
    enter(await open());
  } catch (problem) {
    if ([401, 404].includes(problem.status)) return refused();
    replace(main, h('div', { class: 'page' }, h('p', { class: 'notice bad', role: 'alert' }, icon('warning'), h('span', {}, problem.message)),
      h('button', { class: 'button primary', onclick: () => attempt(open, refused) }, 'Try again')));
  }
}

/** Another address, or a sign-in link that was opened in this tab. */
async function moved() {
  if (!new URLSearchParams(location.hash.slice(1)).get('k')) return route();
  const link = takeLink(location, history);
  const there = location.hash;
  if (page?.inCall) {
    history.replaceState(null, '', shown);
    if (isAsking() || !(await page.confirmLeave())) return;
    history.replaceState(null, '', there);
  }
  leave();
  signInBy(link);
}

addEventListener('hashchange', moved);
addEventListener('beforeunload', (event) => { if (page?.inCall) event.preventDefault(); });
document.addEventListener('click', ({ target }) => { if (!target.closest('.keycard')) $('.keycard')?.removeAttribute('open'); });
start();
