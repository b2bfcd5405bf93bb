// REGISTER, kept alive (RFC 3261 §10, RFC 5626): the same instance id after each loss of the connection replaces the old binding.
import { Backoff } from '../backoff.js';
import { Dialog } from './dialog.js';
import { address } from './message.js';

export class Registration {
  status = { state: 'connecting', text: 'Connecting …' };
  #agent; #tell; #expires; #dialog; #timer = null; #ended = false;
  #backoff = new Backoff(2_000, 60_000);

  constructor(agent, expires = 600, tell = () => {}) {
    [this.#agent, this.#expires, this.#tell] = [agent, expires, tell];
    this.#dialog = new Dialog({ local: agent.local, remote: agent.local, target: `sip:${agent.realm}` });
    this.#dialog.localTag += 'r';
    agent.addEventListener('connection', ({ detail }) => (detail.open ? this.#refresh() : this.#lost()));
    if (agent.connected) this.#refresh();
  }

  /** Takes this page's binding back, as far as the server can still be told. */
  async end() {
    this.#ended = true;
    clearTimeout(this.#timer);
    if (this.status.state === 'registered') await Promise.race([this.#send(0), new Promise((done) => setTimeout(done, 1_000))]);
    this.#say('off', 'Signed out.');
  }

  #send(expires) {
    const contact = `${this.#agent.contact};+sip.instance="<urn:uuid:${instance()}>";reg-id=1;expires=${expires}`;
    return this.#agent.send(() => this.#dialog.request('REGISTER', [['contact', contact], ['expires', expires], ['supported', 'outbound, path']]));
  }

  async #refresh() {
    if (this.#ended) return;
    clearTimeout(this.#timer);
    const response = await this.#send(this.#expires);
    if (this.#ended || response.local && !this.#agent.connected) return;
    const { status } = response;
    if (status >= 200 && status < 300) {
      this.#backoff.reset();
      this.#say('registered', 'Ready for calls.');
      return this.#again(this.#granted(response) * 800);
    }
    const least = Number(response.get('min-expires'));
    if (status === 423 && least > this.#expires && least < 100_000) {
      this.#expires = least;
      return this.#refresh();
    }
    if ([401, 403, 404, 407].includes(status)) {
      this.#ended = true;
      return this.#say('refused', 'The server does not accept this user name and password.');
    }
    this.#say('failed', `The server did not register this phone (${status}). Trying again …`);
    this.#again(this.#backoff.next());
  }

  /** Seconds the server granted to our binding. */
  #granted(response) {
    const user = address(this.#agent.contact).user;
    const own = response.list('contact').map(address).find((contact) => contact.user === user);
    const seconds = Number(own?.params.expires ?? response.get('expires'));
    return seconds > 0 ? Math.max(10, seconds) : this.#expires;
  }

  #again(delay) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#refresh(), Math.min(delay, 2 ** 31 - 1));
  }

  #lost() {
    if (this.#ended) return;
    clearTimeout(this.#timer);
    this.#say('connecting', 'The connection to the server is lost. Trying again …');
  }

  #say(state, text) {
    this.status = { state, text };
    this.#tell(this.status);
  }
}

/** One per tab, the same after a reload. */
function instance() {
  const kept = sessionStorage.getItem('aside.instance');
  if (kept) return kept;
  const raw = crypto.getRandomValues(new Uint8Array(16));
  raw[6] = (raw[6] & 0x0f) | 0x40;
  raw[8] = (raw[8] & 0x3f) | 0x80;
  const digits = Array.from(raw, (byte) => byte.toString(16).padStart(2, '0')).join('');
  const id = digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  sessionStorage.setItem('aside.instance', id);
  return id;
}
