// Which microphone and which speaker; a meter shows that the microphone works.
import { h, replace } from '../lib/dom.js';
import { meterOf } from '../lib/microphone.js';

/** A box to unfold, also during a call. `speaker(id)` is told of another choice; `busy()` says whether a call uses the microphone. */
export function devicesBox(microphone, speaker, busy) {
  const input = h('select', { onchange: () => microphone.open(input.value).then(fill, failed) });
  const output = h('select', { onchange: () => speaker(output.value) });
  const meter = h('div', { class: 'meter', role: 'img', 'aria-label': 'Level of your microphone' });
  const problem = h('p', { class: 'notice bad', role: 'alert', hidden: true });
  const where = h('label', { class: 'field' }, 'Speaker', output);
  const body = h('div', { class: 'stack', hidden: true }, h('label', { class: 'field' }, 'Microphone', input), meter, where);
  const test = h('button', { class: 'button', type: 'button', onclick: () => microphone.open().then(fill, failed) }, 'Test the microphone');

  async function fill() {
    problem.hidden = true;
    test.hidden = !(body.hidden = false);
    const [inputs, outputs] = await Promise.all([microphone.inputs(), microphone.outputs()]);
    const options = (devices) => devices.map(({ id, label }) => h('option', { value: id }, label));
    replace(input, options(inputs));
    if (microphone.track) input.value = microphone.deviceId;
    const chosen = output.value;
    replace(output, options(outputs));
    if (chosen) output.value = chosen;
    where.hidden = outputs.length < 2 || !('setSinkId' in HTMLMediaElement.prototype);
  }

  function failed(error) {
    box.open = true;
    problem.hidden = false;
    problem.textContent = error.message;
  }

  microphone.addEventListener('level', () => {
    meter.style.setProperty('--level', meterOf(microphone.level));
    if (!microphone.track) [test.hidden, body.hidden] = [false, true];
  });
  microphone.addEventListener('devices', fill);
  microphone.addEventListener('change', fill);
  microphone.addEventListener('lost', () => failed(new Error('The microphone was unplugged, and there is no other one.')));
  const box = h('details', { class: 'card devices' }, h('summary', {}, 'Microphone and speaker'), h('div', { class: 'stack' }, problem, test, body));
  // Nothing listens behind a closed box, and opening it is not yet consent.
  box.addEventListener('toggle', () => { if (!box.open && !busy()) microphone.close(); });
  return box;
}
