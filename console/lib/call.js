// One call: its sound (media.js) and its signalling (sip/session.js) as one thing with a state a page can show.
import { Media } from './media.js';
import { UserAgent } from './sip/agent.js';
import { outcomeOf } from './outcome.js';

const RECOVERY = 60_000; // then a lost call is given up
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

export class Call extends EventTarget {
  ended = null;
  muted = false;
  startedAt = null;
  remote = { name: '', user: '', uri: '' };
  label = '';
  answer = null;
  transferring = false;
  early = false; // the other side sounds before it answers
  #phase = 'microphone'; #agent = null; #ownAgent = false; #session = null; #media = null; #microphone; #iceServers = []; #ready = false;
  #recovering = false; #queue = Promise.resolve(); #undo = []; #speaker = '';

  /** Enters a call with one-use credentials: `redeem` fetches them, after the microphone was allowed, for they soon expire. */
  static join(redeem, { microphone, headers = [] }) {
    const call = new Call(microphone);
    call.#run(async () => {
      await call.#openMicrophone();
      const answer = call.answer = await redeem();
      call.label = answer.member_label ?? '';
      call.#ownAgent = true;
      call.#use(new UserAgent({ websocket: answer.websocket, ...answer.sip }).start(), answer.ice_servers);
      await call.#invite(answer.sip.uri, headers);
    });
    return call;
  }

  /** Calls a number, a user or a SIP URI through an agent at hand. */
  static place(agent, target, { microphone, iceServers, headers = [] }) {
    const call = new Call(microphone);
    call.remote = { name: '', user: target, uri: target };
    call.#use(agent, iceServers);
    call.#run(async () => {
      await call.#openMicrophone();
      await call.#invite(target, headers);
    });
    return call;
  }

  /** A session that came in: rings until accept() or decline(). */
  static incoming(agent, session, { microphone, iceServers }) {
    const call = new Call(microphone);
    call.#use(agent, iceServers);
    call.remote = session.dialog.peer;
    call.#adopt(session);
    call.#become('incoming');
    return call;
  }

  constructor(microphone) {
    super();
    this.#microphone = microphone;
    this.#listen(microphone, 'change', () => this.#media?.setTrack(microphone.track).then(() => this.#voice()));
    this.#listen(window, 'pagehide', () => this.hangUp());
    this.#listen(window, 'online', () => this.#recover());
    if (navigator.connection?.addEventListener) this.#listen(navigator.connection, 'change', () => this.#media && !this.#media.connected && this.#recover());
  }

  get state() {
    if (this.ended) return 'ended';
    if (this.#phase !== 'live') return this.#phase;
    if (this.#recovering) return 'reconnecting';
    if (!this.#ready) return 'connecting';
    return this.held ? 'held' : 'live';
  }

  get held() { return this.#media?.held ?? false; }
  get heldByFar() { return this.#media?.heldByFar ?? false; }
  get audioBlocked() { return this.#media?.blocked ?? false; }
  get uuid() { return this.#session?.uuid ?? null; }

  setMuted(muted) {
    this.muted = muted;
    this.#voice();
    this.#changed();
  }

  async hold(held) {
    if (this.#phase === 'live' && held !== this.held) await this.#offer({ held });
    this.#voice();
    this.#changed();
  }

  dtmf(digit) {
    if (this.#phase !== 'live' || this.#media.digit(digit)) return;
    this.#session.info('application/dtmf-relay', `Signal=${digit}\r\nDuration=160\r\n`);
  }

  /** Hands the other side to somebody else; the call ends when that one has answered. Throws Refused. */
  async transfer(target) {
    const uri = /^(sips?|tel):/i.test(target) ? target : `sip:${encodeURIComponent(target).replace(/%2B/g, '+')}@${this.#agent.realm}`;
    this.transferring = true;
    this.#changed();
    try {
      await this.#session.refer(uri);
    } catch (refused) {
      this.transferring = false;
      this.#changed();
      throw refused;
    }
  }

  async accept() {
    if (this.#phase !== 'incoming') return;
    this.#become('microphone');
    await this.#run(async () => {
      await this.#openMicrophone();
      this.#open();
      const { offer } = this.#session;
      const sdp = offer ? await this.#media.answer(offer) : await this.#media.offer();
      if (this.ended) return;
      this.#lives();
      const acknowledged = await this.#session.accept(sdp);
      if (!offer && acknowledged) await this.#media.accept(acknowledged);
    });
  }

  decline() {
    if (this.#phase === 'incoming') this.hangUp();
  }

  hangUp() {
    this.#end(outcomeOf({ by: 'us', before: this.#phase }));
  }

  resume() {
    return this.#media?.resume();
  }

  setSpeaker(deviceId) {
    this.#speaker = deviceId;
    return this.#media?.setSpeaker(deviceId);
  }

  async stats() {
    return this.#media && !this.ended ? this.#media.stats() : { codec: null, roundTripMs: null, jitterMs: null, lostPercent: null };
  }

  // Making it

  async #run(steps) {
    try {
      await steps();
    } catch (error) {
      this.#end(outcomeOf({ error, before: this.#phase }));
    }
  }

  async #openMicrophone() {
    await this.#microphone.open();
    if (this.ended) {
      this.#microphone.close();
      throw new Error('ended meanwhile');
    }
    if (this.#phase === 'microphone') this.#become('connecting');
  }

  #use(agent, iceServers) {
    this.#agent = agent;
    this.#iceServers = iceServers;
    this.#listen(agent, 'connection', () => this.#recover());
  }

  #open() {
    const media = this.#media = new Media(this.#iceServers, this.#microphone.track);
    media.addEventListener('well', () => { this.#ready = true; this.#changed(); });
    media.addEventListener('trouble', () => this.#recover());
    media.addEventListener('blocked', () => this.#changed());
    if (this.#speaker) media.setSpeaker(this.#speaker).catch(() => {});
    this.#voice();
  }

  #adopt(session) {
    this.#session = session;
    Object.assign(session.on, {
      progress: (status, sdp) => this.#progress(status, sdp),
      ended: (how) => this.#end(outcomeOf({ ...how, before: this.#phase, transferred: this.transferring })),
      offered: (sdp) => this.#offered(sdp),
      answered: (sdp) => this.#media.accept(sdp),
      transferred: (status) => this.#transferred(status),
    });
  }

  async #invite(target, headers) {
    if (!await this.#agent.ready()) return this.#end(outcomeOf({ status: 503, local: true, before: 'connecting' }));
    if (this.ended) return;
    this.#open();
    const sdp = await this.#media.offer();
    if (this.ended) return;
    this.#adopt(this.#agent.session(target));
    const answer = await this.#session.invite(sdp, headers);
    if (answer === null || this.ended) return;
    await this.#media.accept(answer);
    this.#lives();
  }

  async #progress(status, sdp) {
    this.early ||= sdp !== null;
    if (status >= 180) this.#become('ringing');
    if (sdp) await this.#media.accept(sdp, true).catch(() => {}); // early sound is a courtesy
  }

  #lives() {
    this.startedAt = Date.now();
    this.#become('live');
    setTimeout(() => { if (!this.#ready) this.#recover(); }, 10_000);
  }

  // While it lasts

  #voice() {
    if (this.#microphone.track) this.#microphone.track.enabled = !this.muted && !this.held;
  }

  /** One offer of ours after the other; the session sees to theirs. */
  #offer(how) {
    const done = this.#queue.then(async () => {
      try {
        await this.#media.accept(await this.#session.reoffer(() => this.#media.offer(how)));
      } catch (refused) {
        if (!this.ended) await this.#media.rollback();
        throw refused;
      }
    });
    this.#queue = done.catch(() => {});
    return done;
  }

  async #offered(sdp) {
    const ours = sdp ? await this.#media.answer(sdp) : await this.#media.offer();
    this.#changed();
    return ours;
  }

  #transferred(status) {
    if (status < 200) return;
    if (status < 300) return this.#end(outcomeOf({ transferred: true }));
    this.transferring = false;
    this.dispatchEvent(new CustomEvent('transfer-failed', { detail: status }));
    this.#changed();
  }

  /** Reaches the server again, over whatever network there is now, with new ICE credentials, until sound flows. */
  async #recover() {
    if (this.#recovering || this.#phase !== 'live' || this.ended) return;
    this.#recovering = true;
    this.#changed();
    for (const deadline = Date.now() + RECOVERY; !this.ended; await wait(500)) {
      if (Date.now() > deadline && !this.#media.connected) {
        return this.#end(outcomeOf({ lost: true }));
      }
      if (!await this.#agent.ready(2_000)) continue;
      const offered = await this.#offer({ restart: true }).then(() => true, () => false);
      for (let tries = 0; offered && tries < 40 && !this.#media.connected && !this.ended; tries++) await wait(200);
      if (offered && this.#media.connected && this.#agent.connected) break;
    }
    this.#recovering = false;
    this.#changed();
  }

  #end(outcome) {
    if (this.ended) return;
    this.ended = outcome;
    this.#session?.end();
    for (const undo of this.#undo) undo();
    this.#media?.close();
    if (this.#phase !== 'incoming') this.#microphone.close();
    if (this.#ownAgent) Promise.race([this.#session?.closing ?? wait(1_000), wait(2_000)]).then(() => this.#agent.stop());
    this.#changed();
  }

  #become(phase) {
    if (this.#phase === phase || this.ended) return;
    this.#phase = phase;
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event('change'));
  }

  #listen(target, name, action) {
    target.addEventListener(name, action);
    this.#undo.push(() => target.removeEventListener(name, action));
  }
}
