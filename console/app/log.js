// What happened in the room, newest first.
import { h, icon, timeOfDay } from '/console/lib/dom.js';

const MOST = 200;

export class Log {
  #seen = new Set();
  #list = h('ol', { class: 'log', tabindex: '0', 'aria-label': 'Event log, newest first' });
  element = h('section', { class: 'card stack' }, h('h2', {}, 'Event log'), this.#list);

  /** A line of the stream; after a lost connection the last ones come again and are left out. */
  add({ id, at, kind, text }) {
    if (this.#seen.has(id)) return;
    this.#seen.add(id);
    const refused = kind.endsWith('refused');
    this.#list.prepend(h('li', { class: refused ? 'fault' : '' }, h('time', { datetime: at }, timeOfDay(at)), refused && icon('warning'), h('span', {}, text)));
    if (this.#list.children.length > MOST) this.#list.lastElementChild.remove();
  }
}
