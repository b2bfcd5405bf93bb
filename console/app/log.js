// What happened in the room, newest first.
import { h, icon, timeOfDay } from '/console/lib/dom.js';
import { lineText } from './told.js';

const MOST = 200;

export class Log {
  #seen = new Set(); #last = '';
  #list = h('ol', { class: 'log', tabindex: '0', 'aria-label': 'Event log, newest first' });
  element = h('section', { class: 'card stack' }, h('h2', {}, 'Event log'), this.#list);

  /** A line of the stream; after a lost connection the last ones come again and are left out. `people`: members by number. */
  add(line, people) {
    if (this.#seen.has(line.id)) return;
    this.#seen.add(line.id);
    const text = lineText(line, people);
    const said = `${timeOfDay(line.at)} ${text}`; // one change of a mode is several events
    if (said === this.#last) return;
    this.#last = said;
    const refused = line.kind.endsWith('refused');
    this.#list.prepend(h('li', { class: refused ? 'fault' : '' }, h('time', { datetime: line.at }, timeOfDay(line.at)), refused && icon('warning'), h('span', {}, text)));
    if (this.#list.children.length > MOST) this.#list.lastElementChild.remove();
  }
}
