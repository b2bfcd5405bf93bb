// This page's place in a room: its call while it lasts.
import { Call } from '/console/lib/call.js';

const DOING = { microphone: 'waiting for the microphone', connecting: 'connecting', ringing: 'entering the room', held: 'on hold', reconnecting: 'sound interrupted' };

/** Events: 'change'; 'over' with `.text`: the call ended though nobody here asked for it. */
export class Seat extends EventTarget {
  call = null;
  #leaving = false;

  get active() { return this.call !== null; }
  get muted() { return this.call?.muted ?? false; }
  /** What the call is doing, unless it is simply live. */
  get doing() { return DOING[this.call?.state] ?? null; }

  /** Joins: `redeem()` gets one-use credentials, `microphone` is open. */
  join(redeem, microphone) {
    this.#leaving = false;
    const call = this.call = Call.join(redeem, { microphone });
    const changed = () => {
      if (call !== this.call) return;
      if (call.ended) this.call = null;
      if (call.ended && !this.#leaving) this.dispatchEvent(Object.assign(new Event('over'), { text: call.ended.text }));
      this.dispatchEvent(new Event('change'));
    };
    call.addEventListener('change', changed);
    changed();
  }

  setMuted(muted) { this.call?.setMuted(muted); }

  leave() {
    this.#leaving = true;
    this.call?.hangUp();
  }
}
