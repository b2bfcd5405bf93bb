// A room's page: what the server applied, this page's place in it, and the commands between them.
import { duration, h, icon, keyboard, randomId, setText, timeOfDay } from '/console/lib/dom.js';
import { LOST } from '/console/lib/devices.js';
import { Commands } from './commands.js';
import { kind, nameOf, you } from './hearing.js';
import { hints } from './hints.js';
import { history } from './history.js';
import { invite } from './invite.js';
import { chooseMicrophone } from './joining.js';
import { LABELS } from './labels.js';
import { Log } from './log.js';
import { Modes, SHORTCUTS } from './modes.js';
import { Notices } from './notices.js';
import { onAir } from './onair.js';
import { refusal } from './permissions.js';
import { Picture } from './picture.js';
import { possible } from './possible.js';
import { ask, isAsking } from './question.js';
import { Seat } from './seat.js';
import { whoHearsMe } from './sentence.js';
import { shortcutSwitch } from './shortcuts.js';
import { Table } from './table.js';
import { chooseAgents } from './takeover.js';
import { whyEnded } from './told.js';
import { Verdict } from './verdict.js';

const RETRY = 3_000; // ms between looks for a room that is not there
/** Why a room that this page showed is over for it, when no event has told. */
const GONE = 'it was not there any more when the connection came back';

export class RoomPage {
  #name; #path; #session; #signOut; #stream = null; #clock; #retry; #gone = new AbortController();
  #room = null; #fresh = false; #heardAt = 0; #over = null; #people = new Map(); #unmuteIn = null; #joining = false; #lostTold = false;
  #seat = new Seat();
  #commands = new Commands({ id: randomId });
  #notices = new Notices();
  #verdict = new Verdict();
  #picture = new Picture((member) => this.#remove(member));
  #modes = new Modes((name) => this.#press(name));
  #table = new Table();
  #log = new Log();
  #state = h('span', { class: 'badge' });
  #help = h('span', { class: 'badge warn' }, icon('warning'), 'Help asked');
  #facts = h('span', { class: 'muted number grow' });
  #shortcuts = shortcutSwitch();
  #end = h('button', { class: 'button small', onclick: () => this.#endRoom() }, 'End room');

  constructor(name, { session, signOut }) {
    [this.#name, this.#session, this.#signOut] = [name, session, signOut];
    this.#path = `/rooms/${encodeURIComponent(name)}`;
    const about = { api: session.api, key: session.key, path: this.#path, people: this.#people, now: () => session.now() };
    this.#end.ariaDisabled = String(this.#lacks('end') !== null);
    this.element = h('div', { class: 'wide roompage' },
      h('div', { class: 'row wrap head' }, h('a', { class: 'button quiet small', href: '#/', 'aria-label': 'All rooms' }, icon('back')), h('h1', {}, name), this.#state, this.#help, this.#facts, this.#end),
      h('div', { class: 'stage' },
        h('div', { class: 'desk' }, h('div', { class: 'news' }, this.#verdict.element, this.#notices.element), h('div', { class: 'controls' }, this.#modes.element, this.#shortcuts.element)),
        this.#picture.element),
      h('div', { class: 'side stack' }, this.#seat.devices, this.#table.element, invite(about), this.#log.element, history(about)));
    this.#seat.addEventListener('change', () => this.#seatChanged());
    this.#seat.addEventListener('over', ({ text }) => this.#callOver(text));
    this.#seat.addEventListener('replaced', ({ text }) => this.#notices.tell('microphone', 'warn', text));
    this.#commands.addEventListener('change', () => this.#render());
    this.#commands.addEventListener('refused', ({ problem, command }) => this.#refused(problem, command.words));
  }

  get inCall() { return this.#seat.active; }
  get #me() { return this.#room && you(this.#room); }
  get #left() { return this.#gone.signal.aborted; }
  #lacks(action) { return refusal(this.#session.key, action); }

  shown() {
    const press = (name) => () => { if (this.#shortcuts.on && !isAsking()) this.#press(name); };
    const unkey = keyboard(Object.fromEntries(Object.entries(SHORTCUTS).map(([key, name]) => [key, press(name)])));
    this.#gone.signal.addEventListener('abort', unkey);
    this.#clock = setInterval(() => this.#tick(), 250);
    if (this.#lacks('see')) this.tell(`You cannot see rooms. ${this.#lacks('see')}`);
    else this.#open();
    this.#render();
  }

  close() {
    this.#gone.abort();
    clearInterval(this.#clock);
    clearTimeout(this.#retry);
    this.#stream?.close();
    this.#seat.leave();
  }

  tell(text) { this.#notices.tell('key', 'warn', text); }

  /** Asks before leaving; resolves to whether the call is left. */
  async confirmLeave() {
    const yes = await ask({ title: 'Leave the room?', body: h('p', {}, `${hints(this.#room, this.#me).leave}.`), yes: LABELS.leave });
    if (yes) this.#seat.leave();
    return yes;
  }

  // The live stream

  #open() {
    clearTimeout(this.#retry);
    this.#stream = this.#session.api.stream(`${this.#path}/live?client=${this.#session.client}`, {
      event: (name, data) => { if (!this.#left) this.#event(name, data); },
      state: (state, problem) => { if (!this.#left) this.#connection(state, problem); },
    });
  }

  #event(name, data) {
    this.#heardAt = Date.now();
    if (name === 'room' && !this.#over) this.#take(data);
    if (name === 'levels' && this.#fresh) this.#picture.levels(data.l);
    if (name === 'log') this.#logged(data);
    if (name !== 'ended') return;
    if (!this.#over) this.#ended(data.reason);
    this.#stream.close(); // the log's last lines have come
  }

  #take(room) {
    if (this.#room?.uuid !== room.uuid) this.#commands.clear();
    [this.#room, this.#fresh] = [room, true];
    for (const member of room.members) this.#people.set(member.id, member);
    this.#notices.clear('connection', 'room');
    this.#commands.saw(room);
    this.#unmuteAsAsked();
    if (room.ended) this.#ended(room.ended.reason);
    else this.#render();
  }

  /** A line may name somebody who left before this page was open. */
  #logged(line) {
    const { member: id, label, number } = line;
    if (id && (label || number) && !this.#people.has(id)) this.#people.set(id, { id, label, number });
    this.#log.add(line, this.#people);
  }

  #connection(state, problem) {
    const why = problem?.message ?? '';
    if (this.#over) {
      if (state === 'waiting') this.#stream.close();
    } else if (problem?.status === 401) this.#signOut();
    else if (state === 'closed' && problem?.status === 403) this.#refusedRoom(why);
    else if (state === 'closed' && problem?.status === 404) this.#absent();
    else if (state === 'waiting') this.#stale(`${why} Trying again.`);
    else if (state === 'closed') this.#stale(why);
  }

  #stale(why) {
    this.#fresh = false;
    this.#notices.tell('connection', 'bad', `${why || 'The connection to the server is lost.'}${this.#room ? ' What you see is old.' : ''}`);
    this.#render();
  }

  #refusedRoom(why) {
    if (this.#room) return this.#ended('forbidden');
    this.#notices.tell('refused', 'bad', why);
    this.#render();
  }

  /** No such room now: it may come, or have ended while the connection was gone. */
  #absent() {
    if (this.#room) return this.#ended(GONE);
    this.#notices.tell('room', 'warn', 'There is no live room of this name now. It appears here as soon as a call enters it. Who heard whom in it before can be looked up.');
    this.#retry = setTimeout(() => this.#open(), RETRY);
    this.#render();
  }

  /** The room is over, or (`forbidden`) goes on without who is at this page. */
  #ended(reason) {
    const inCall = this.inCall;
    const forbidden = reason === 'forbidden';
    const why = whyEnded(reason);
    this.#over = forbidden ? { headline: 'You may no longer see this room', detail: `Your key is not for it any more. ${inCall ? 'Your call has ended; the' : 'The'} others go on.` }
      : { headline: 'The room is over', detail: why ? `${why.charAt(0).toUpperCase()}${why.slice(1)}.` : '' };
    this.#fresh = true;
    this.#notices.clear('connection', 'call', 'refused', 'sound', 'lost');
    const again = () => {
      this.#stream.close();
      [this.#over, this.#room] = [null, null];
      this.#notices.clear('room');
      this.#open();
      this.#render();
    };
    if (forbidden) this.#notices.tell('room', 'warn', `You may no longer see this room${inCall ? '; your call has ended' : ''}; the others go on.`, ['Look again', again]);
    else this.#notices.tell('room', 'warn', `This room has ended${why ? `: ${why}` : ''}. ${inCall ? 'Your call ends with it. ' : ''}Nobody in it hears anybody.`, ['Wait for it to open again', again]);
    this.#room = { ...this.#room, state: forbidden ? 'not seen' : 'ended', members: [], hears: [], help: false };
    this.#commands.clear();
    this.#seat.leave();
    this.#render();
  }

  // The call of this page

  #seatChanged() {
    if (this.#left) return;
    const { call, lost } = this.#seat;
    if (!lost) this.#notices.clear('lost');
    else if (!this.#lostTold) this.#noMicrophone(LOST);
    this.#lostTold = lost;
    if (call?.audioBlocked) this.#notices.tell('sound', 'warn', 'The browser holds the sound back until you allow it.', ['Let me hear', () => call.resume()]);
    else if (call?.state === 'reconnecting') this.#notices.tell('sound', 'warn', 'The sound is interrupted and is being restored: what you say may be lost.');
    else this.#notices.clear('sound');
    this.#render();
  }

  #noMicrophone(text) {
    this.#notices.tell('lost', 'bad', text, ['Try again', () => this.#seat.reopen().catch((error) => { if (this.#seat.lost) this.#noMicrophone(error.message); })]);
  }

  #callOver(text) {
    if (this.#left || this.#over) return;
    this.#unmuteIn = null;
    this.#notices.tell('call', 'bad', `${text} Nothing leaves your microphone.${this.#me?.mode === 'takeover' ? ' The agents you set aside come back.' : ''}`);
  }

  async #join(mode) {
    if (this.#joining) return;
    this.#joining = true;
    const microphone = await chooseMicrophone(mode, hints(this.#room, this.#me)[mode]);
    this.#joining = false;
    if (this.#left || this.#over) return microphone?.close();
    if (!microphone) return;
    this.#notices.clear('call', 'microphone');
    const { api, client } = this.#session;
    this.#seat.join(() => api.post(`${this.#path}/join`, { mode, client }), microphone);
  }

  // Commands

  #press(name) {
    const why = this.#refusals()[name];
    this.#notices.clear('refused');
    if (why) this.#notices.tell('refused', 'warn', why);
    else if (name === 'leave') this.confirmLeave();
    else if (name === 'mute') this.#toggleMute();
    else if (this.inCall) this.#mode(name);
    else this.#join(name);
  }

  async #mode(mode) {
    const { id } = this.#me;
    const agents = this.#room.members.filter((member) => kind(member) === 'agent' && member.id !== id);
    const more = mode === 'takeover' && this.#commands.pending?.name !== mode ? await chooseAgents(agents, hints(this.#room, this.#me).customer) : {};
    if (!more || this.#me?.id !== id) return;
    this.#unmuteIn = ['whisper', 'barge', 'takeover'].includes(mode) ? mode : null;
    this.#commands.ask(mode, `“${LABELS[mode]}”`, (command_id) => this.#session.api.put(`${this.#path}/members/${id}/mode`, { mode, command_id, ...more }));
  }

  /** Off at once in this browser and then in the room; on only when the room shows it, so that nothing slips out before. */
  #toggleMute() {
    const me = this.#me;
    const mute = !(this.#seat.muted || me?.muted);
    this.#unmuteIn = mute ? null : 'any';
    if (mute) this.#seat.setMuted(true);
    if (!me || me.muted === mute || this.#lacks('mute')) return this.#unmuteAsAsked();
    this.#commands.ask('mute', `“${mute ? LABELS.mute : LABELS.unmute}”`, () => this.#session.api.patch(`${this.#path}/members/${me.id}`, { mute }));
  }

  #unmuteAsAsked() {
    const me = this.#me;
    if (!this.#fresh || !this.#unmuteIn || !me || me.muted || !['any', me.mode].includes(this.#unmuteIn)) return;
    this.#unmuteIn = null;
    this.#seat.setMuted(false);
  }

  async #remove(member) {
    const who = nameOf(member);
    if (await ask({ title: `Remove ${who}?`, body: h('p', {}, 'The call goes on with its own instructions, or ends.'), yes: 'Remove', danger: true }))
      this.#commands.ask(`remove ${member.id}`, `the removal of ${who}`, () => this.#session.api.delete(`${this.#path}/members/${member.id}`));
  }

  async #endRoom() {
    if (this.#lacks('end')) return this.#notices.tell('refused', 'warn', this.#lacks('end'));
    if (await ask({ title: `End ${this.#name}?`, body: h('p', {}, 'It is over for all its members, the customer too.'), yes: 'End the room', danger: true }))
      this.#commands.ask('end', 'the end of the room', () => this.#session.api.delete(this.#path));
  }

  #refused(problem, words) {
    if (this.#left || this.#over) return;
    this.#unmuteIn = null;
    if (problem.status === 401) return this.#signOut();
    this.#notices.clear('refused');
    this.#notices.tell('refused', 'bad', `You asked for ${words}. ${problem.message} ${problem.status ? 'Nothing has changed.' : 'Whether it was done is not known: look who hears you.'}`);
  }

  #refusals() {
    return possible({ key: this.#session.key, room: this.#room, me: this.#me, over: this.#over, fresh: this.#fresh, calling: this.inCall, muted: this.#seat.muted, lost: this.#seat.lost, pending: this.#commands.pending?.name });
  }

  // What is shown

  #render() {
    if (this.#left) return;
    const room = this.#room ?? { state: 'not live', members: [], hears: [] };
    const [me, calling, fresh] = [this.#me, this.inCall, this.#fresh];
    const muted = this.#seat.muted || Boolean(me?.muted && me.mode !== 'monitor');
    const verdict = this.#over ? { tone: 'out', ...this.#over }
      : whoHearsMe(room, { fresh: fresh || (!this.#room && !calling), calling, microphoneOff: muted, microphoneLost: this.#seat.lost });
    this.element.toggleAttribute('data-old', !fresh && this.#room !== null);
    this.#verdict.show(verdict);
    this.#picture.show(room, { fresh, doing: this.#seat.doing, silent: !calling || this.#seat.muted || this.#seat.lost, mayRemove: fresh && !this.#lacks('remove') });
    this.#modes.show(this.#refusals(), hints(room, me), { applied: calling ? me?.mode : null, pending: this.#commands.pending?.name, joined: calling, muted });
    this.#table.show(fresh ? room : { ...room, state: 'past' }, fresh ? 'Each row: whom that person hears, as the server applied it.' : `Old: as it was at ${timeOfDay(this.#heardAt)}.`);
    setText(this.#state, room.state);
    this.#state.classList.toggle('good', fresh && room.state === 'live');
    this.#help.hidden = !room.help;
    this.#end.hidden = !this.#room || this.#over !== null;
    onAir(verdict, this.#name);
    this.#tick();
  }

  /** What time alone changes. */
  #tick() {
    const [room, { pending }] = [this.#over ? null : this.#room, this.#commands];
    const unsure = room?.pending && this.#fresh ? 'A change that was asked for is not yet in the sound.' : '';
    const holds = !room ? '' : this.#fresh ? `In the sound since ${timeOfDay(room.applied_at)}`
      : `Last known at ${timeOfDay(this.#heardAt)}, ${duration((Date.now() - this.#heardAt) / 1_000)} ago`;
    this.#verdict.waits(pending ? `Asked for ${pending.words} ${((performance.now() - pending.asked) / 1_000).toFixed(1)} s ago: not yet in the sound.` : unsure, holds, room?.applied_tick);
    const lasts = room?.started_at ? `${duration((this.#session.now() - Date.parse(room.started_at)) / 1_000)} · ` : '';
    setText(this.#facts, room ? `${lasts}${room.members.length}${room.max_members ? ` of ${room.max_members}` : ''} people` : '');
  }
}
