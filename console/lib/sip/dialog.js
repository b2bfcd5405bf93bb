// What the requests of one conversation have in common (RFC 3261 §12): Call-ID, tags, counters, route.
import { randomId } from '../dom.js';
import { address, Message } from './message.js';

export class Dialog {
  localTag = randomId(8);
  remoteTag = null;
  routes = [];
  #cseq = 0;
  #remoteCseq = -1;

  /** Outgoing: `remote` is whom we call. `local` and `remote` are header values without tags. */
  constructor({ local, remote, target = remote, callId = randomId(12) }) {
    Object.assign(this, { local, remote, target, callId });
  }

  /** From the INVITE that somebody sent us. */
  static incoming(invite) {
    const bare = (value) => value.replace(/;\s*tag\s*=[^;]*/i, '');
    const dialog = new Dialog({ local: bare(invite.get('to')), remote: bare(invite.get('from')), target: invite.contact?.uri, callId: invite.get('call-id') });
    dialog.remoteTag = invite.from.params.tag ?? '';
    dialog.routes = invite.list('record-route');
    dialog.accepts(invite);
    return dialog;
  }

  /** A response that makes the dialog or moves its target. */
  establish(response) {
    if (response.to.params.tag) this.remoteTag = response.to.params.tag;
    this.routes = response.list('record-route').reverse();
    this.refresh(response);
  }

  refresh(message) {
    if (message.contact?.uri) this.target = message.contact.uri;
  }

  /** Whether a request of the peer is in order (§12.2.2). */
  accepts(request) {
    const { number } = request.cseq;
    if (number <= this.#remoteCseq) return false;
    this.#remoteCseq = number;
    return true;
  }

  request(method, headers = [], body = '', cseq = ++this.#cseq) {
    const to = this.remoteTag ? `${this.remote};tag=${this.remoteTag}` : this.remote;
    return Message.request(method, this.target, [
      ['max-forwards', '70'], ...this.routes.map((route) => ['route', route]), ['from', `${this.local};tag=${this.localTag}`], ['to', to],
      ['call-id', this.callId], ['cseq', `${cseq} ${method}`], ...headers,
    ], body);
  }

  get peer() {
    return address(this.remote);
  }
}
