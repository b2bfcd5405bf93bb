// One call as SIP sees it: INVITE and what may follow it (RFC 3261 §13–15, RFC 3515, RFC 4028). Knows nothing of sound.
import { companion } from './agent.js';
import { address, parameters, split } from './message.js';

const SDP = ['content-type', 'application/sdp'];
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

/** A request inside the call was not granted; `local` where it was never answered. */
export class Refused extends Error {
  constructor({ status, reason, local = false }) {
    super(local ? 'The server cannot be reached just now.' : `The server refused: ${reason} (${status}).`);
    Object.assign(this, { status, local });
  }
}

export class Session {
  state = 'idle'; // inviting | ringing | live | over
  uuid = null;
  /** What the owner wants to know; `offered` gives our answer to an SDP (or, to null, our own offer). */
  on = { progress() {}, ended() {}, transferred() {}, answered() {}, offered: async () => { throw new Error('no sound yet'); } };
  #agent; #invite; #cancel = null; #ack = null; #acked = null; #offering = false; #timer = null; #interval = 0; #refreshing = false; #sdp = ''; #updates = false;

  constructor(agent, dialog, direction, invite = null) {
    [this.#agent, this.dialog, this.direction, this.#invite] = [agent, dialog, direction, invite];
    this.key = `${dialog.callId} ${dialog.localTag}`;
    if (!invite) return;
    this.state = 'ringing';
    this.#noted(invite);
    agent.reply(invite, 180, 'Ringing', agent.abilities, '', dialog.localTag);
  }

  /** The caller's SDP; null where he wants us to offer. */
  get offer() {
    return this.#invite?.body || null;
  }

  /** Header of the INVITE that came. */
  header(name) {
    return this.#invite?.get(name) ?? null;
  }

  invitedBy(branch) {
    return this.direction === 'in' && this.state === 'ringing' && this.#invite.branch === branch;
  }

  // Outgoing

  /** Calls; gives the SDP of the answer, or null where the call ended instead. */
  async invite(sdp, headers = []) {
    this.state = 'inviting';
    const build = () => this.dialog.request('INVITE', [...this.#agent.abilities, ...headers, SDP], this.#sdp = sdp);
    const response = await this.#agent.send(build, {
      sent: (request) => { this.#invite = request; }, provisional: (each) => this.#progress(each), over: () => this.state === 'over',
    });
    if (response.status >= 300) {
      this.#end({ by: 'far', ...outcome(response) });
      return null;
    }
    this.dialog.establish(response);
    this.#noted(response);
    this.#acknowledge(response);
    if (this.state === 'over') { // answered while we were giving up
      this.#bye();
      return null;
    }
    this.state = 'live';
    this.#keepAlive(response, true);
    return response.body;
  }

  #progress(response) {
    this.#noted(response);
    if (this.#cancel === 'wanted') this.#sendCancel();
    else if (response.status > 100 && this.state === 'inviting') this.on.progress(response.status, response.body || null);
    this.#cancel ??= 'possible';
  }

  #sendCancel() {
    this.#cancel = 'sent';
    this.#agent.send(() => companion(this.#invite, 'CANCEL'));
  }

  #acknowledge(response) {
    const proof = this.#invite.headers.filter(([name]) => name.endsWith('authorization'));
    this.#ack = this.dialog.request('ACK', proof, '', response.cseq.number);
    this.#agent.post(this.#ack);
  }

  acknowledgeAgain(response) {
    if (this.#ack?.cseq.number === response.cseq.number) this.#agent.post(this.#ack);
  }

  // Incoming

  /** Answers with our SDP; gives the body of the ACK. */
  accept(sdp) {
    this.state = 'live';
    return this.#answer(this.#invite, sdp);
  }

  reject(status, reason) {
    this.#agent.reply(this.#invite, status, reason, [], '', this.dialog.localTag);
    this.#end({ by: 'us', status, reason });
  }

  cancelled(request) {
    this.#agent.reply(this.#invite, 487, 'Request terminated', [], '', this.dialog.localTag);
    this.#end({ by: 'far', status: 487, reason: why(request) });
  }

  /** A 2xx is repeated until its ACK comes (RFC 3261 §13.3.1.4). */
  async #answer(request, sdp) {
    const timer = this.#keepAlive(request, false);
    const text = this.#agent.reply(request, 200, 'OK', [...this.#agent.abilities, ...timer, SDP], this.#sdp = sdp, this.dialog.localTag);
    const acknowledged = new Promise((resolve) => { this.#acked = resolve; });
    for (let delay = 500, waited = 0; waited < 32_000; waited += delay, delay = Math.min(4_000, delay * 2)) {
      const ack = await Promise.race([acknowledged, wait(delay)]);
      if (ack || this.state === 'over') return ack?.body || null;
      this.#agent.post(text);
    }
    this.end();
    return null;
  }

  /** The connection broke: no ACK comes any more for what was answered over it. */
  interrupted() {
    this.#acked?.({ body: '' });
  }

  // Inside the call

  requested(request) {
    const { method } = request;
    const reply = (status, reason, headers, body) => this.#agent.reply(request, status, reason, headers, body);
    if (method === 'ACK') return this.#acked?.(request);
    if (!this.dialog.accepts(request)) return reply(500, 'Out of order');
    if (method === 'BYE') {
      reply(200, 'OK');
      if (this.state === 'ringing') this.#agent.reply(this.#invite, 487, 'Request terminated', [], '', this.dialog.localTag);
      return this.#end({ by: 'far', status: 200, reason: why(request) });
    }
    if (method === 'INVITE' || method === 'UPDATE') return this.#offered(request);
    if (method === 'NOTIFY' && request.get('event')?.startsWith('refer')) this.#reported(request);
    if (['INFO', 'OPTIONS', 'NOTIFY', 'MESSAGE'].includes(method)) return reply(200, 'OK', this.#agent.abilities);
    reply(method === 'CANCEL' ? 481 : 405, 'Not possible here', this.#agent.abilities);
  }

  async #offered(request) {
    const reply = (status, reason, headers) => this.#agent.reply(request, status, reason, headers);
    if (this.state !== 'live' || this.#offering) return reply(491, 'Request pending');
    this.dialog.refresh(request);
    if (request.method === 'UPDATE' && !request.body) return reply(200, 'OK', [...this.#agent.abilities, ...this.#keepAlive(request, false)]);
    this.#offering = true;
    try {
      const sdp = await this.on.offered(request.body || null);
      if (request.method === 'UPDATE') return this.#agent.reply(request, 200, 'OK', [...this.#agent.abilities, ...this.#keepAlive(request, false), SDP], this.#sdp = sdp);
      const answer = await this.#answer(request, sdp);
      if (!request.body && answer) await this.on.answered(answer);
    } catch {
      reply(488, 'Not acceptable here');
    } finally {
      this.#offering = false;
    }
  }

  /** Re-INVITE with what `make` offers, once no other offer is under way; gives the SDP of the answer or throws Refused. */
  async reoffer(make) {
    for (let tries = 0; ; tries++) {
      while (this.#offering) await wait(50);
      if (this.state !== 'live') throw new Refused({ status: 481, reason: 'the call is over' });
      this.#offering = true;
      let response;
      try {
        this.#sdp = await make();
        const timer = this.#interval ? [['session-expires', `${this.#interval};refresher=${this.#refreshing ? 'uac' : 'uas'}`]] : [];
        const build = () => this.dialog.request('INVITE', [...this.#agent.abilities, ...timer, SDP], this.#sdp);
        response = await this.#agent.send(build, { sent: (request) => { this.#invite = request; } });
      } finally {
        this.#offering = false;
      }
      if (response.status < 300) {
        this.dialog.refresh(response);
        this.#acknowledge(response);
        this.#keepAlive(response, true);
        return response.body;
      }
      if (response.status !== 491 || tries >= 4) throw this.#refused(response);
      await wait(this.direction === 'out' ? 2_100 + Math.random() * 1_900 : Math.random() * 2_000); // RFC 3261 §14.1
    }
  }

  info(type, body) {
    return this.#agent.send(() => this.dialog.request('INFO', [['content-type', type]], body));
  }

  /** Asks the server to connect our peer with `target`; on.transferred tells how that goes. */
  async refer(target) {
    const headers = [['refer-to', `<${target}>`], ['referred-by', `<${this.#agent.aor}>`], ['contact', this.#agent.contact]];
    const response = await this.#agent.send(() => this.dialog.request('REFER', headers));
    if (response.status >= 300) throw this.#refused(response);
  }

  #reported(request) {
    const status = /^SIP\/2\.0 (\d{3})/.exec(request.body)?.[1];
    if (status) this.on.transferred(Number(status));
  }

  #refused(response) {
    const gone = response.status === 481 || (response.status === 408 && !response.local);
    if (gone) this.#end({ by: 'far', ...outcome(response) });
    return new Refused(response);
  }

  /** Hangs up, gives up or declines, whatever fits. */
  end() {
    const before = this.state;
    if (before === 'over') return;
    if (before === 'ringing') return this.reject(603, 'Decline');
    if (before === 'live') this.#bye();
    // CANCEL may only follow a provisional response (RFC 3261 §9.1).
    if (before === 'inviting') {
      if (this.#cancel === 'possible') this.#sendCancel();
      else this.#cancel = 'wanted';
    }
    this.#end({ by: 'us', status: 200, reason: '' });
  }

  #bye() {
    this.closing = this.#agent.send(() => this.dialog.request('BYE'));
  }

  #end(how) {
    if (this.state === 'over') return;
    this.state = 'over';
    clearTimeout(this.#timer);
    // Late answers and repeated requests still find us for a while.
    setTimeout(() => this.#agent.forget(this), 32_000);
    this.on.ended(how);
  }

  #noted(message) {
    this.uuid ??= message.get('x-calluuid');
    if (message.get('allow')) this.#updates = message.list('allow').includes('UPDATE');
  }

  /** Session timer (RFC 4028) of a request or response; gives the headers that answer a request. */
  #keepAlive(message, asked) {
    clearTimeout(this.#timer);
    const [interval, ...rest] = split(message.get('session-expires') ?? '', ';');
    this.#interval = Number(interval) >= 90 ? Math.min(Number(interval), 86_400) : 0;
    if (!this.#interval) return [];
    const refresher = parameters(rest).refresher ?? (asked ? 'uas' : 'uac');
    this.#refreshing = asked === (refresher === 'uac');
    const seconds = this.#refreshing ? this.#interval / 2 : this.#interval;
    this.#timer = setTimeout(() => (this.#refreshing ? this.#refresh() : this.end()), seconds * 1_000);
    return asked ? [] : [['session-expires', `${this.#interval};refresher=${refresher}`], ...(refresher === 'uac' ? [['require', 'timer']] : [])];
  }

  async #refresh() {
    try {
      if (!this.#updates) return await this.reoffer(() => this.#sdp);
      const headers = [...this.#agent.abilities, ['session-expires', `${this.#interval};refresher=uac`]];
      const response = await this.#agent.send(() => this.dialog.request('UPDATE', headers));
      if (response.status >= 300) throw this.#refused(response);
      this.#keepAlive(response, true);
    } catch {
      if (this.state === 'live') this.#timer = setTimeout(() => this.#refresh(), 10_000);
    }
  }
}

/** The Reason header's words (RFC 3326). */
function why(message) {
  for (const value of message.list('reason')) {
    const { text } = parameters(split(value, ';').slice(1));
    if (text) return text;
  }
  return '';
}

function outcome(response) {
  return { status: response.status, reason: why(response) || response.reason, local: response.local ?? false, peer: address(response.get('to')) };
}
