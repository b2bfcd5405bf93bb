// What a person sees of his call: state in words, time, level, and the buttons for all that can be done.
import { duration, h, icon, replace, say, setText } from './dom.js';
import { meterOf } from './microphone.js';
import { ringer } from './ring.js';

const SAYS = {
  incoming: 'is calling', microphone: 'The browser asks for your microphone: please allow it.', connecting: 'Connecting …', ringing: 'Ringing …',
  live: 'Connected', lost: 'Connected, but nobody hears you: your microphone is gone.', held: 'On hold: nobody hears you, and you hear nobody.', reconnecting: 'The connection was lost. Reconnecting …',
};
const KEYS = ['1', '2 abc', '3 def', '4 ghi', '5 jkl', '6 mno', '7 pqrs', '8 tuv', '9 wxyz', '*', '0 +', '#'];
const SPOKEN = { '*': 'star', '#': 'hash' };

export function keypad(press) {
  return h('div', { class: 'keypad', role: 'group', 'aria-label': 'Keypad' }, KEYS.map((key) => {
    const [digit, letters] = key.split(' ');
    return h('button', { class: 'button', type: 'button', 'aria-label': SPOKEN[digit], onclick: () => press(digit) }, digit, letters && h('small', {}, ` ${letters}`));
  }));
}

/** A button that is on or off; its words say what pressing it does. */
export function toggle(name, text, press) {
  const label = h('span', {}, text);
  const button = h('button', { class: 'button tool', type: 'button', onclick: press }, icon(name), label);
  button.show = (on, words = text) => {
    button.classList.toggle('on', on);
    setText(label, words);
  };
  return button;
}

/** The panel of a call until it ended: `name` heads it, `tools(call)` adds toggles { button, update }; `ended` is told once, and says it. */
export function callPanel(call, microphone, { name, tools = () => [], ended }) {
  const title = h('h2', { tabindex: '-1' }, name);
  const state = h('p', { class: 'muted' });
  const time = h('time', { class: 'number' });
  const meter = h('div', { class: 'meter', 'aria-hidden': 'true' });
  const level = h('div', { class: 'level' }, h('span', { class: 'muted small' }, 'Your microphone'), meter);
  const blocked = h('div', { class: 'notice warn', role: 'alert', hidden: true }, icon('volume'), h('div', { class: 'stack' }, 'The browser does not play the call yet.',
    h('button', { class: 'button primary', onclick: () => call.resume() }, 'Let me hear it')));
  const typed = h('output', { class: 'number typed', 'aria-label': 'Sent digits' });
  const press = (digit) => { call.dtmf(digit); typed.append(digit); };
  const keys = h('div', { class: 'stack', hidden: true }, typed, keypad(press));
  const mute = toggle('mic-off', 'Mute', () => call.setMuted(!call.muted));
  const pad = toggle('keypad', 'Keypad', () => { keys.hidden = !keys.hidden; pad.show(!keys.hidden, keys.hidden ? 'Keypad' : 'Hide keypad'); });
  const extra = tools(call);
  const answer = h('div', { class: 'row centre wrap' },
    h('button', { class: 'button good big', onclick: () => call.accept() }, icon('phone'), 'Answer'),
    h('button', { class: 'button danger big', onclick: () => call.decline() }, icon('hang-up'), 'Decline'));
  const toolbar = h('div', { class: 'tools' }, mute, extra.map((each) => each.button), pad);
  const end = h('button', { class: 'button danger big', onclick: () => call.hangUp() }, icon('hang-up'), h('span', {}, 'Hang up'));
  const panel = h('section', { class: 'card stack call', 'aria-label': 'Call' }, h('div', { class: 'stack centre' }, title, state, time), blocked, level, toolbar, keys, answer, end);

  const typing = (event) => { // digits go to the call while its keypad is open
    if (!keys.hidden && /^[0-9*#]$/.test(event.key) && !event.target.closest('input')) press(event.key);
  };
  const tick = () => setText(time, call.startedAt ? duration((Date.now() - call.startedAt) / 1_000) : '');
  const measure = () => meter.style.setProperty('--level', call.muted || call.held ? 0 : meterOf(microphone.level));
  const plugged = () => { if (microphone.lost) microphone.open().catch(() => {}); }; // what is told stays true
  const clock = setInterval(tick, 500);
  let [last, told] = ['', ''];
  const update = () => {
    const now = call.state;
    const words = call.transferring ? 'Transferring …' : now === 'live' && call.heldByFar ? 'The other side put you on hold.' : now === 'live' && microphone.lost ? SAYS.lost
      : now === 'live' && call.muted ? 'Connected. You are muted.' : SAYS[now] ?? '';
    const lives = call.startedAt !== null;
    panel.dataset.state = now;
    setText(state, words);
    tick();
    blocked.hidden = !call.audioBlocked;
    toolbar.hidden = level.hidden = !lives;
    answer.hidden = now !== 'incoming';
    end.hidden = now === 'incoming';
    setText(end.lastChild, lives ? 'Hang up' : 'Cancel');
    mute.show(call.muted, call.muted ? 'Unmute' : 'Mute');
    for (const each of extra) each.update?.();
    if (now !== last) ring(call, now, name);
    if (words !== told && words) say(now === 'incoming' ? `${name} ${words}` : words, now === 'incoming' || now === 'reconnecting');
    [last, told] = [now, words];
    if (now !== 'ended') return;
    clearInterval(clock);
    call.removeEventListener('change', update);
    microphone.removeEventListener('level', measure);
    microphone.removeEventListener('lost', update);
    microphone.removeEventListener('change', update);
    microphone.removeEventListener('devices', plugged);
    document.removeEventListener('keydown', typing);
    ended(call.ended, time.textContent);
  };
  call.addEventListener('change', update);
  microphone.addEventListener('level', measure);
  microphone.addEventListener('lost', update);
  microphone.addEventListener('change', update);
  microphone.addEventListener('devices', plugged);
  document.addEventListener('keydown', typing);
  update();
  return panel;
}

function ring(call, state, name) {
  if (state === 'incoming') ringer.start(`${name} is calling`);
  else if (state === 'ringing' && !call.early) ringer.back();
  else ringer.stop();
}

/** Shows something and puts the reader's focus on what it is about. */
export function present(parent, ...shown) {
  replace(parent, ...shown);
  parent.querySelector('h2')?.focus();
}
