// This page's place in a room: its call while it lasts.
import { Call } from '/console/lib/call.js';
import { devicesBox, replacedBy } from '/console/lib/devices.js';
import { prefer } from './joining.js';

const DOING = { microphone: 'waiting for the microphone', connecting: 'connecting', ringing: 'entering the room', held: 'on hold', reconnecting: 'sound interrupted' };
/** What an end means in a room; the others are told as they are. */
const ENDS = {
  far_end: 'Your call is over: somebody removed you, or the room has ended.',
  no_answer: 'The server did not let you in. Try again.', not_found: 'The server did not let you in: the room may have ended.',
};
let speaker = ''; // chosen before, in this tab

/** What the server says of an end by itself, for example that the key is not good any more, counts more. */
const ended = ({ reason, text }) => (text.includes('“') ? text.replace('The other side ended the call', 'Your call is over') : ENDS[reason] ?? text);

/** Events: 'change'; 'over' with `.text`: the call ended though nobody here asked for it; 'replaced' with `.text`: another microphone is used. */
export class Seat extends EventTarget {
  call = null;
  /** Where the microphone and the speaker are chosen, during a call. */
  devices = document.createElement('div');
  #leaving = false; #microphone = null;

  get active() { return this.call !== null; }
  get muted() { return this.call?.muted ?? false; }
  /** The microphone was unplugged, and there is no other. */
  get lost() { return this.active && this.#microphone.lost; }
  /** What the call is doing, unless it is simply live. */
  get doing() { return DOING[this.call?.state] ?? null; }

  /** Joins: `redeem()` gets one-use credentials, `microphone` is open. */
  join(redeem, microphone) {
    [this.#leaving, this.#microphone] = [false, microphone];
    const call = this.call = Call.join(redeem, { microphone });
    const hear = (id) => { speaker = id; call.setSpeaker(id)?.catch(() => {}); };
    if (speaker) hear(speaker);
    this.devices.replaceChildren(devicesBox(microphone, hear, () => call === this.call, speaker));
    const changed = () => {
      if (call !== this.call) return;
      if (call.ended) [this.call, this.#microphone] = [null, null];
      if (call.ended) this.devices.replaceChildren();
      if (call.ended && !this.#leaving) this.dispatchEvent(Object.assign(new Event('over'), { text: ended(call.ended) }));
      this.dispatchEvent(new Event('change'));
    };
    call.addEventListener('change', changed);
    microphone.addEventListener('lost', changed);
    microphone.addEventListener('change', () => { prefer(microphone.deviceId); changed(); });
    microphone.addEventListener('replaced', ({ from }) => this.dispatchEvent(Object.assign(new Event('replaced'), { text: replacedBy(from, microphone.label) })));
    changed();
  }

  /** Takes a microphone again where the last one is gone; throws a MicrophoneError. */
  reopen() { return this.#microphone.open(); }

  setMuted(muted) { this.call?.setMuted(muted); }

  leave() {
    this.#leaving = true;
    this.call?.hangUp();
  }
}
