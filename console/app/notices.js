// What happened, in words, until it is over or put away.
import { h, icon } from '/console/lib/dom.js';

/** What the verdict above says aloud in the same moment. */
const SAID = ['connection', 'room', 'lost'];

export class Notices {
  #shown = new Map();
  element = h('div', { class: 'stack notices' });

  /** One notice per `id`: the newest text counts. `action`: [label, press]. */
  tell(id, tone, text, action = null) {
    if (this.#shown.get(id)?.text === text) return;
    this.clear(id);
    const element = h('div', { class: `notice ${tone}`, role: SAID.includes(id) ? null : 'alert', 'data-notice': id }, icon('warning'), h('p', { class: 'grow' }, text),
      action && h('button', { class: 'button small', onclick: action[1] }, action[0]),
      h('button', { class: 'button quiet small', 'aria-label': 'Put this notice away', onclick: () => element.remove() }, icon('close')));
    this.#shown.set(id, { element, text });
    this.element.append(element);
  }

  clear(...ids) {
    for (const id of ids) {
      this.#shown.get(id)?.element.remove();
      this.#shown.delete(id);
    }
  }
}
