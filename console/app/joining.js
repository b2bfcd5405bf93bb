// Before joining: which microphone, and does it hear me?
import { Microphone } from '/console/lib/microphone.js';
import { h, icon, replace, setText } from '/console/lib/dom.js';
import { showLevel } from './levels.js';
import { ask } from './question.js';

const WHAT = {
  monitor: ['Join and listen', 'You hear everyone. Nobody hears you: the room keeps you muted.', 'Listen'],
  whisper: ['Join and whisper', 'Agents and supervisors hear you as soon as you are in. The customer does not.', 'Whisper'],
  barge: ['Join and speak to everyone', 'The customer hears you as soon as you are in.', 'Speak to everyone'],
};
let last = ''; // the device chosen before, in this tab

/** Asks for the microphone and shows its level. Resolves to an open Microphone, or null when the answer is no. */
export async function chooseMicrophone(mode) {
  const microphone = new Microphone({ deviceId: last });
  const [title, promise, yes] = WHAT[mode];
  const danger = mode === 'barge';
  const select = h('select', { disabled: true }, h('option', {}, 'Asking the browser…'));
  const meter = h('div', { class: 'meter tall', 'aria-hidden': 'true' });
  const hint = h('p', { class: 'muted small' }, 'The browser asks whether this page may use the microphone.');
  const fault = h('div', { role: 'alert' });
  let [confirm, over] = [null, false];

  const list = async () => {
    const inputs = await microphone.inputs();
    replace(select, inputs.map(({ id, label }) => h('option', { value: id, selected: id === microphone.deviceId }, label)));
    select.disabled = inputs.length === 0;
  };
  const open = async (id) => {
    replace(fault);
    try {
      await microphone.open(id);
      if (over) return microphone.close();
      await list();
      setText(hint, 'Speak: the bar moves when the microphone hears you.');
      confirm.ariaDisabled = null;
    } catch (error) {
      confirm.ariaDisabled = 'true';
      setText(hint, 'No sound is taken.');
      replace(fault, h('div', { class: 'notice bad' }, icon('mic-off'), h('div', { class: 'stack' }, `${error.message} You have not joined.`,
        h('button', { class: 'button small', type: 'button', onclick: () => open(id) }, 'Try again'))));
    }
  };
  microphone.addEventListener('level', () => showLevel(meter, meter, microphone.level, false));
  microphone.addEventListener('devices', list);
  select.addEventListener('change', () => open(select.value));

  const joins = await ask({
    title, yes, danger,
    body: [h('p', { class: danger ? 'notice bad' : 'muted' }, promise), h('label', { class: 'field' }, 'Microphone', select), meter, hint, fault],
    ready: (button) => {
      confirm = button;
      confirm.ariaDisabled = 'true';
      open(last);
    },
  });
  over = true;
  last = microphone.deviceId;
  if (joins) return microphone;
  microphone.close();
  return null;
}
