// Who hears whom, exactly: one row per listener, one column per voice.
import { h, icon, replace, setText } from '/console/lib/dom.js';
import { kind, matrix, nameOf } from './hearing.js';

const title = (member) => (member.you ? 'You' : nameOf(member));

function cell(listener, { source, heard, why }, verb) {
  if (listener.id === source.id) return h('td', { class: 'own' }, h('span', { class: 'visually-hidden' }, why));
  if (!heard) return h('td', { class: 'muted' }, icon('close'), h('small', {}, why));
  return h('td', { class: source.you && kind(listener) === 'customer' ? 'heard alarm' : 'heard' }, icon('ear'), verb);
}

function row({ listener, cells }, past) {
  const verb = past ? 'heard' : listener.you ? 'hear' : 'hears';
  return h('tr', {}, h('th', { scope: 'row' }, `${title(listener)} ${verb}`), cells.map((each) => cell(listener, each, verb)));
}

/** The table of a room's matrix; `caption` says of when it is, `tick` which of the media thread. A room in the state 'past' is told as past. */
export function table(room, caption, tick) {
  const rows = matrix(room);
  return h('table', { class: 'matrix' }, h('caption', { class: 'small muted', 'data-tick': tick, title: tick && `tick ${tick}` }, caption),
    h('thead', {}, h('tr', {}, h('td'), rows.map(({ listener }) => h('th', { scope: 'col' }, title(listener))))),
    h('tbody', {}, rows.map((each) => row(each, room.state === 'past'))));
}

/** The live table of a room. */
export class Table {
  #place = h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'The table' });
  #drawn = '';
  #title = h('h2');
  element = h('section', { class: 'card stack' }, this.#title, this.#place);

  show(room, caption) {
    const now = JSON.stringify([room.members, room.hears, room.state, caption]);
    this.element.hidden = room.members.length === 0;
    if (now === this.#drawn) return;
    this.#drawn = now;
    setText(this.#title, room.state === 'past' ? 'Who heard whom' : 'Who hears whom');
    replace(this.#place, table(room, caption));
  }
}
