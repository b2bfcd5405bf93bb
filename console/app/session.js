// Who is signed in. The key lives in this tab alone (sessionStorage) and is in no URL.
import { Api } from '/console/lib/api.js';
import { randomId } from '/console/lib/dom.js';

const PLACE = 'aside-key';
const SOON = 5 * 60_000;
const LONGEST = 2_000_000_000; // browsers' timers end at 2³¹ ms

export class Session {
  /** `you` in a room is the member that joined with this id. */
  client = randomId();
  #ahead; #timers = [];

  static stored() { return sessionStorage.getItem(PLACE); }
  static forget() { sessionStorage.removeItem(PLACE); }

  /** Signs in, or throws a Problem. */
  static async open(key) {
    const api = new Api({ key });
    const session = new Session(api, await api.get('/session'));
    sessionStorage.setItem(PLACE, key);
    return session;
  }

  constructor(api, { account, key, server, now }) {
    Object.assign(this, { api, account, key, server });
    this.#ahead = Date.parse(now) - Date.now();
  }

  /** The server's time, ms. */
  now() { return Date.now() + this.#ahead; }

  /** Calls `soon` five minutes before the key expires, and `over` when it has. */
  watch({ soon, over }) {
    const left = Date.parse(this.key.expires_at) - this.now();
    const later = (ms, action) => { if (ms < LONGEST) this.#timers.push(setTimeout(action, ms)); };
    later(left - SOON, soon);
    later(left, over);
  }

  close() { this.#timers.forEach(clearTimeout); }
}
