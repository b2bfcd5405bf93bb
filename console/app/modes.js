// The big buttons: how the supervisor takes part. What is pressed is what the server applied.
import { h, icon, setText } from '/console/lib/dom.js';
import { LABELS } from './labels.js';
import { roving } from './roving.js';

/** name, key, icon; the first three join too. */
const BUTTONS = [
  ['monitor', 'L', 'headset'], ['whisper', 'W', 'whisper'], ['barge', 'B', 'barge'], ['takeover', 'T', 'takeover'],
  ['stop', 'S', 'ear'], ['mute', 'M', 'mic-off'], ['leave', 'Escape', 'hang-up'],
];

/** The shortcuts: { key: name of a button }. */
export const SHORTCUTS = Object.fromEntries(BUTTONS.map(([name, key]) => [key === 'Escape' ? key : key.toLowerCase(), name]));

const set = (element, name, value) => (value ? element.setAttribute(name, value) : element.removeAttribute(name));

export class Modes {
  #parts; #settle;
  element = h('div', { class: 'modes', role: 'toolbar', 'aria-label': 'How you take part' });

  /** `press(name)` comes for each press, also of what is not possible now: the page says why. */
  constructor(press) {
    this.#parts = BUTTONS.map(([name, key, sign]) => {
      const [text, hint] = [h('span', { class: 'label' }), h('span', { class: 'hint' })];
      const button = h('button', { class: 'button mode', 'data-mode': name, 'aria-keyshortcuts': key, onclick: () => press(name) },
        icon(sign), text, h('kbd', { 'aria-hidden': 'true' }, key.slice(0, 3)), hint);
      return { name, button, text, hint };
    });
    this.element.append(...this.#parts.map(({ button }) => button));
    this.#settle = roving(this.element, 'button:not([hidden])');
  }

  /** `refusals`: why a button does nothing, by name; `hints`: what it would do. `now`: { applied, pending, joined, muted }, the first two names of modes or nothing. */
  show(refusals, hints, { applied, pending, joined, muted }) {
    this.#parts.forEach(({ name, button, text, hint }, place) => {
      const why = refusals[name];
      const unmutes = name === 'mute' && muted;
      set(button, 'aria-disabled', why && 'true');
      if (!['stop', 'leave'].includes(name)) set(button, 'aria-pressed', String(name === applied || unmutes));
      set(button, 'aria-busy', pending === name && 'true');
      if (name === 'stop') this.#withdraw(button, Boolean(why) && pending !== name);
      setText(text, unmutes ? 'Unmute' : `${!joined && place < 3 ? 'Join: ' : ''}${LABELS[name]}`);
      setText(hint, pending === name ? 'Asked for, not yet in the sound' : why ?? hints[unmutes ? 'unmute' : name]);
    });
  }

  /** Giving back is offered to who has taken over; the focus does not fall out of the page with it. */
  #withdraw(button, away) {
    if (away === button.hidden) return;
    if (away && document.activeElement === button) this.#parts[0].button.focus();
    button.hidden = away;
    this.#settle();
  }
}
