// Which microphone and which speaker, also during a call; a meter shows that the microphone works.
import { h, replace, say, setText } from './dom.js';
import { meterOf } from './microphone.js';

export const LOST = 'Your microphone is gone, and there is no other one. Plug one in, then try again.';

/** 'The headset was unplugged: the built-in one is used now.' */
export const replacedBy = (from, to) => `${from ? `“${from}”` : 'Your microphone'} is gone. ${to ? `“${to}”` : 'Another one'} is used instead.`;

/** A box to unfold. `speaker(id)` is told of another choice, `chosen` is the one before; `busy()`: a call uses the microphone. */
export function devicesBox(microphone, speaker, busy, chosen = '') {
  const input = h('select', { onchange: () => take(input.value) });
  const output = h('select', { onchange: () => speaker(chosen = output.value) });
  const meter = h('div', { class: 'meter', role: 'img', 'aria-label': 'Level of your microphone' });
  const problem = h('p', { class: 'notice bad', hidden: true });
  const where = h('label', { class: 'field' }, 'Speaker', output);
  const body = h('div', { class: 'stack', hidden: true }, h('label', { class: 'field' }, 'Microphone', input), meter, where);
  const test = h('button', { class: 'button', type: 'button', onclick: () => take() }, 'Test the microphone');
  const take = (id) => microphone.open(id).then(fill, (error) => { failed(error.message); say(error.message, true); });

  async function fill() {
    if (!microphone.track) return;
    problem.hidden = !microphone.lost;
    test.hidden = !(body.hidden = microphone.lost);
    const [inputs, outputs] = await Promise.all([microphone.inputs(), microphone.outputs()]);
    const options = (devices, now) => devices.map(({ id, label }) => h('option', { value: id, selected: id === now }, label));
    replace(input, options(inputs, microphone.deviceId));
    replace(output, options(outputs, chosen));
    where.hidden = outputs.length < 2 || !('setSinkId' in HTMLMediaElement.prototype);
  }

  /** The microphone in use stays, if there is one. */
  function failed(text) {
    if (microphone.track) fill();
    box.open = true;
    problem.hidden = false;
    setText(problem, text);
  }

  microphone.addEventListener('level', () => {
    meter.style.setProperty('--level', meterOf(microphone.level));
    if (!microphone.track) [test.hidden, body.hidden] = [false, true];
  });
  microphone.addEventListener('devices', fill);
  microphone.addEventListener('change', fill);
  microphone.addEventListener('lost', () => failed(LOST)); // the page says it
  const box = h('details', { class: 'card devices' }, h('summary', {}, 'Microphone and speaker'), h('div', { class: 'stack' }, problem, test, body));
  // Nothing listens behind a closed box, and opening it is not yet consent.
  box.addEventListener('toggle', () => {
    if (box.open) fill();
    else if (!busy()) microphone.close();
  });
  return box;
}
