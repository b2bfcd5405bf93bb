// A SIP user agent in a page: transactions over one WebSocket, and the sessions they belong to.
import { randomId } from '../dom.js';
import { Dialog } from './dialog.js';
import { Credentials } from './digest.js';
import { Message, parse } from './message.js';
import { Registration } from './registration.js';
import { Session } from './session.js';
import { SipSocket } from './socket.js';

const ALLOW = 'INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, NOTIFY, UPDATE, MESSAGE';
const ANSWER = 20_000; // for any response to a request
const RING = 180_000; // from a provisional response to a final one
const SESSIONS = 8;

export class UserAgent extends EventTarget {
  #socket; #credentials; #transactions = new Map(); #sessions = new Map(); #registration = null;
  #host = `${randomId(6)}.invalid`; // a browser does not know its address (RFC 7118 §5)

  constructor({ websocket, username, password, realm, name = '' }) {
    super();
    this.realm = realm;
    this.username = username;
    this.aor = `sip:${encodeURIComponent(username)}@${realm}`;
    this.local = name ? `"${name.replace(/["\\]/g, '')}" <${this.aor}>` : `<${this.aor}>`;
    this.contact = `<sip:${randomId(6)}@${this.#host};transport=ws;ob>`;
    this.#credentials = new Credentials(username, password);
    this.#socket = new SipSocket(websocket);
    this.#socket.addEventListener('message', ({ detail }) => this.#received(detail));
    this.#socket.addEventListener('open', () => this.#emit('connection', { open: true }));
    this.#socket.addEventListener('down', () => this.#lost());
  }

  get connected() { return this.#socket.isOpen; }
  get registration() { return this.#registration?.status ?? null; }

  start() {
    this.#socket.open();
    return this;
  }

  /** Whether the connection is up, at the latest after `patience` ms. */
  ready(patience = 10_000) {
    if (this.connected) return Promise.resolve(true);
    return new Promise((resolve) => {
      const done = () => { clearTimeout(timer); this.removeEventListener('connection', changed); resolve(this.connected); };
      const changed = () => this.connected && done();
      const timer = setTimeout(done, patience);
      this.addEventListener('connection', changed);
    });
  }

  /** Keeps this page reachable: event `registration` { state, text }. */
  register(expires) {
    this.#registration ??= new Registration(this, expires, (status) => this.#emit('registration', status));
    return this;
  }

  async stop() {
    await this.#registration?.end();
    this.#socket.close();
  }

  /** A session to be invited: nothing is sent yet. */
  session(target) {
    const uri = /^(sips?|tel):/i.test(target) ? target : `sip:${encodeURIComponent(target).replace(/%2B/g, '+')}@${this.realm}`;
    const session = new Session(this, new Dialog({ local: this.local, remote: `<${uri}>`, target: uri }), 'out');
    this.#keep(session);
    return session;
  }

  forget(session) {
    this.#sessions.delete(session.key);
  }

  /**
   * Sends what `build` makes, anew for each try, with digest as asked for; gives the final response. A connection that is down or
   * a server that is silent answers 503 and 408 by themselves. `sent` sees each request, `provisional` each 1xx; `over` stops trying.
   */
  async send(build, { sent, provisional, over } = {}) {
    for (let attempt = 0; ; attempt++) {
      const request = build();
      this.#credentials.sign(request);
      sent?.(request);
      const response = await this.#transact(request, provisional);
      const challenged = response.status === 401 || response.status === 407;
      if (!challenged || over?.() || !this.#credentials.take(response, attempt)) return response;
    }
  }

  /** For requests without answer (ACK), or whose answer is of no use. */
  post(request) {
    if (!request.get('via')) this.#via(request);
    return this.#socket.send(request);
  }

  reply(request, status, reason, headers = [], body = '', tag = null) {
    const echo = ['via', 'from', 'to', 'call-id', 'cseq'].flatMap((name) => request.all(name).map((value) => [name, value]));
    const to = echo.find(([name]) => name === 'to');
    if (status > 100 && !request.to.params.tag) to[1] += `;tag=${tag ?? randomId(8)}`;
    const routes = request.all('record-route').map((route) => ['record-route', route]);
    const response = Object.assign(new Message(), { status, reason, body, headers: [...echo, ...routes, ...headers] });
    this.#socket.send(response);
    return response;
  }

  /** Headers that INVITE, its 2xx and OPTIONS answers carry. */
  get abilities() {
    return [['contact', this.contact], ['allow', ALLOW], ['supported', 'outbound, timer']];
  }

  #via(request) {
    request.headers.unshift(['via', `SIP/2.0/${this.#socket.transport} ${this.#host};branch=z9hG4bK${randomId(9)}`]);
  }

  #transact(request, provisional) {
    if (!request.get('via')) this.#via(request);
    const name = `${request.branch} ${request.method}`; // a CANCEL has its INVITE's branch
    let resolve;
    const promise = new Promise((settle) => { resolve = settle; });
    const finish = (response) => {
      clearTimeout(transaction.timer);
      this.#transactions.delete(name);
      // The ACK of a refused INVITE belongs to its transaction: same branch (RFC 3261 §17.1.1.3).
      if (request.method === 'INVITE' && response.status >= 300 && !response.local) this.post(companion(request, 'ACK', response.get('to')));
      resolve(response);
    };
    const own = (status, reason) => finish(Object.assign(new Message(), { status, reason, local: true }));
    const transaction = {
      lost: () => own(503, 'Connection lost'),
      timer: setTimeout(() => own(408, 'No answer from the server'), ANSWER),
      response: (response) => {
        if (response.status >= 200) return finish(response);
        if (request.method === 'INVITE') {
          clearTimeout(transaction.timer);
          transaction.timer = setTimeout(() => own(408, 'Nobody answered'), RING);
        }
        provisional?.(response);
      },
    };
    this.#transactions.set(name, transaction);
    if (!this.#socket.send(request)) transaction.lost();
    return promise;
  }

  #lost() {
    for (const transaction of [...this.#transactions.values()]) transaction.lost();
    for (const session of this.#sessions.values()) session.interrupted();
    this.#emit('connection', { open: false });
  }

  #received(text) {
    let message;
    try {
      message = parse(text);
    } catch (fault) {
      console.warn(`A SIP message that cannot be read was passed over: ${fault.message}`);
      return;
    }
    if (message.method) this.#requested(message);
    else this.#responded(message);
  }

  #responded(response) {
    const transaction = this.#transactions.get(`${response.branch} ${response.cseq.method}`);
    if (transaction) transaction.response(response);
    // A 2xx that comes again wants its ACK again.
    else if (response.cseq.method === 'INVITE' && response.status < 300) this.#sessions.get(key(response, response.from))?.acknowledgeAgain(response);
  }

  #requested(request) {
    const { method } = request;
    const session = this.#sessions.get(key(request, request.to));
    if (session) return session.requested(request);
    if (method === 'ACK') return;
    if (method === 'CANCEL') {
      const invited = [...this.#sessions.values()].find((each) => each.invitedBy(request.branch));
      this.reply(request, invited ? 200 : 481, invited ? 'OK' : 'No such transaction');
      return invited?.cancelled(request);
    }
    if (request.to.params.tag) return this.reply(request, 481, 'No such call');
    if (method === 'INVITE') return this.#invited(request);
    if (['OPTIONS', 'NOTIFY', 'MESSAGE'].includes(method)) return this.reply(request, 200, 'OK', this.abilities);
    this.reply(request, 405, 'Method not allowed', [['allow', ALLOW]]);
  }

  #invited(request) {
    if ([...this.#sessions.values()].some((each) => each.invitedBy(request.branch))) return;
    const unsupported = request.list('require').filter((option) => !['timer', 'outbound'].includes(option.toLowerCase()));
    if (unsupported.length) return this.reply(request, 420, 'Bad extension', [['unsupported', unsupported.join(', ')]]);
    if (!request.contact?.uri) return this.reply(request, 400, 'Contact is missing');
    if (this.#sessions.size >= SESSIONS) return this.reply(request, 486, 'Busy');
    const session = new Session(this, Dialog.incoming(request), 'in', request);
    this.#keep(session);
    this.#emit('session', { session });
  }

  #keep(session) {
    this.#sessions.set(session.key, session);
  }

  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

const key = (message, ours) => `${message.get('call-id')} ${ours?.params.tag ?? ''}`;

/** The CANCEL or ACK that goes with an INVITE's transaction (RFC 3261 §9.1, §17.1.1.3). */
export function companion(invite, method, to = invite.get('to')) {
  const kept = invite.headers.filter(([name]) => ['max-forwards', 'from', 'call-id', 'route'].includes(name));
  const via = ['via', invite.list('via')[0]];
  return Message.request(method, invite.uri, [via, ...kept, ['to', to], ['cseq', `${invite.cseq.number} ${method}`]]);
}
