// The big buttons: how the supervisor takes part. What is pressed is what the server applied.
import { h, icon, setText } from '/console/lib/dom.js';
import { roving } from './roving.js';

/** name, key, icon, label, what it does; the first three join too. */
const BUTTONS = [
  ['monitor', 'L', 'headset', 'Listen', 'Nobody hears you'],
  ['whisper', 'W', 'whisper', 'Whisper', 'Agents hear you, the customer does not'],
  ['barge', 'B', 'barge', 'Barge', 'The customer hears you'],
  ['takeover', 'T', 'takeover', 'Take over', 'The customer hears you, agents are set aside'],
  ['stop', 'S', 'ear', 'Stop', 'Back to listening; agents come back'],
  ['mute', 'M', 'mic-off', 'Mute', 'Your microphone off'],
  ['leave', 'Escape', 'hang-up', 'Leave', 'Your call ends, the others go on'],
];

/** The shortcuts: { key: name of a button }. */
export const SHORTCUTS = Object.fromEntries(BUTTONS.map(([name, key]) => [key === 'Escape' ? key : key.toLowerCase(), name]));

const set = (element, name, value) => (value ? element.setAttribute(name, value) : element.removeAttribute(name));

export class Modes {
  #parts;
  element = h('div', { class: 'modes', role: 'toolbar', 'aria-label': 'How you take part' });

  /** `press(name)` comes for each press, also of what is not possible now: the page says why. */
  constructor(press) {
    this.#parts = BUTTONS.map(([name, key, sign, label, does]) => {
      const [text, hint] = [h('span', { class: 'label' }), h('span', { class: 'hint' })];
      const button = h('button', { class: 'button mode', 'data-mode': name, 'aria-keyshortcuts': key, onclick: () => press(name) },
        icon(sign), text, h('kbd', { 'aria-hidden': 'true' }, key.slice(0, 3)), hint);
      return { name, button, text, hint, label, does };
    });
    this.element.append(...this.#parts.map(({ button }) => button));
    roving(this.element, 'button');
  }

  /** `refusals`: why a button does nothing, by name. `now`: { applied, pending, joined, muted }, the first two names of modes or nothing. */
  show(refusals, { applied, pending, joined, muted }) {
    this.#parts.forEach(({ name, button, text, hint, label, does }, place) => {
      const why = refusals[name];
      const unmutes = name === 'mute' && muted;
      set(button, 'aria-disabled', why && 'true');
      if (!['stop', 'leave'].includes(name)) set(button, 'aria-pressed', String(name === applied || unmutes));
      set(button, 'aria-busy', pending === name && 'true');
      setText(text, unmutes ? 'Unmute' : `${!joined && place < 3 ? 'Join: ' : ''}${label}`);
      setText(hint, pending === name ? 'Asked for, not yet in the sound' : why ?? (unmutes ? 'Your microphone on: look who hears it' : does));
    });
  }
}
