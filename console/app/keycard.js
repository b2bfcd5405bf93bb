// What the key may do, and what it may not: in the top bar.
import { h, icon } from '/console/lib/dom.js';
import { limits, scopes } from './permissions.js';

export function keyCard({ key, account, server }, signOut) {
  const said = limits(key);
  const shut = () => { details.open = false; };
  const escape = (event) => {
    if (event.key !== 'Escape' || !details.open) return;
    event.stopPropagation();
    shut();
    details.firstElementChild.focus();
  };
  const details = h('details', { class: 'keycard', onkeydown: escape },
    h('summary', { class: 'button quiet small' }, icon('person'), h('span', { class: 'keyname' }, key.name), h('span', { class: 'visually-hidden' }, ': what this key may do')),
    h('div', { class: 'card stack' },
      h('h2', {}, account.name), h('p', { class: 'muted small' }, `Key ${key.name} · server ${server.version}`),
      h('ul', { class: 'stack' }, scopes(key).map(({ scope, opens, held }) => h('li', { class: `row scope ${held ? 'held' : ''}` }, icon(held ? 'check' : 'close'),
        h('span', {}, h('strong', {}, scope), held ? `: ${opens}` : `: missing. Without it you cannot ${opens}.`)))),
      said.length > 0 && h('p', { class: 'small' }, `Limits: ${said.join('; ')}.`),
      h('button', { class: 'button', onclick: () => { shut(); signOut(); } }, 'Sign out')));
  return details;
}
