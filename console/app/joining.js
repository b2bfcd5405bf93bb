// Before joining: which microphone, and does it hear me?
import { Microphone } from '/console/lib/microphone.js';
import { h, icon, replace, say, setText } from '/console/lib/dom.js';
import { LABELS } from './labels.js';
import { showLevel } from './levels.js';
import { ask } from './question.js';

const TITLES = { monitor: 'Join and listen', whisper: 'Join and whisper', barge: 'Join and speak to all' };
const AUDIBLE = -50; // dBFS: a room is quieter, a voice is louder
let last = ''; // the device chosen before, in this tab

/** The device to begin with next time. */
export const prefer = (deviceId) => { last = deviceId; };

/** Asks for the microphone and shows its level; `promise`: who hears what. Resolves to an open Microphone, or null when the answer is no. */
export async function chooseMicrophone(mode, promise) {
  const microphone = new Microphone({ deviceId: last });
  const danger = mode === 'barge';
  const select = h('select', { disabled: true }, h('option', {}, 'Asking the browser…'));
  const meter = h('div', { class: 'meter tall', 'aria-hidden': 'true' });
  const hint = h('p', { class: 'muted small' }, 'The browser asks whether this page may use the microphone.');
  const fault = h('div', { role: 'alert' });
  let [confirm, over, heard] = [null, false, false];

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
      heard = false;
      setText(hint, 'Speak: the bar moves when the microphone hears you.');
      confirm.ariaDisabled = null;
    } catch (error) {
      confirm.ariaDisabled = 'true';
      setText(hint, 'No sound is taken.');
      replace(fault, h('div', { class: 'notice bad' }, icon('mic-off'), h('div', { class: 'stack' }, `${error.message} You have not joined.`,
        h('button', { class: 'button small', type: 'button', onclick: () => open(id) }, 'Try again'))));
    }
  };
  microphone.addEventListener('level', () => {
    showLevel(meter, meter, microphone.level, false);
    if (heard || over || microphone.level < AUDIBLE) return;
    heard = true;
    say('Your microphone hears you.');
    setText(hint, 'Your microphone hears you: the bar moves as you speak.');
  });
  microphone.addEventListener('devices', list);
  select.addEventListener('change', () => open(select.value));

  const joins = await ask({
    title: TITLES[mode], yes: LABELS[mode], danger,
    body: [h('p', { class: danger ? 'notice bad' : 'muted' }, `${promise}, as soon as you are in.`), h('label', { class: 'field' }, 'Microphone', select), meter, hint, fault],
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
