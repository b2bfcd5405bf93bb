// The live rooms: who is in them, who speaks, where help is asked for.
import { duration, h, icon, keyboard, replace, setText, timeOfDay } from '/console/lib/dom.js';
import { MODES, kind, nameOf } from './hearing.js';
import { keyed } from './keyed.js';
import { showLevel } from './levels.js';
import { refusal } from './permissions.js';
import { isAsking } from './question.js';
import { roving } from './roving.js';

const pageOf = (name) => `#/rooms/${encodeURIComponent(name)}`;
const counted = (count) => `${count} ${count === 1 ? 'room' : 'rooms'}`;

export class RoomsPage {
  inCall = false;
  #session; #signOut; #stream = null; #timer; #unkey; #settle; #rooms = []; #at = 0; #fresh = false;
  #search = h('input', { type: 'search', placeholder: 'Room or person', 'aria-label': 'Search rooms and people', 'aria-keyshortcuts': '/', oninput: () => this.#render() });
  #list = h('ul', { class: 'rooms', 'aria-label': 'Live rooms' });
  #count = h('p', { class: 'muted small', role: 'status' }, 'Connecting…');
  #more = h('p', { class: 'muted small' });
  #fault = h('p', { class: 'notice warn', role: 'alert', hidden: true });
  #empty = h('div', { class: 'empty card', hidden: true });

  constructor({ session, signOut }) {
    [this.#session, this.#signOut] = [session, signOut];
    const open = (event) => {
      event.preventDefault();
      const name = this.#matching()[0]?.name ?? this.#search.value.trim();
      if (name) location.hash = pageOf(name);
    };
    this.element = h('div', { class: 'wide stack' },
      h('div', { class: 'row between wrap' }, h('div', {}, h('h1', {}, 'Live rooms'), this.#count), h('form', { class: 'search', role: 'search', onsubmit: open }, icon('search'), this.#search)),
      this.#fault, this.#list, this.#empty, this.#more);
  }

  shown() {
    this.#settle = roving(this.#list, 'a');
    this.#unkey = keyboard({ '/': () => { if (!isAsking()) this.#search.focus(); } });
    this.#timer = setInterval(() => this.#durations(), 1_000);
    const lacking = refusal(this.#session.key, 'see');
    if (lacking) return this.tell(`You cannot see rooms. ${lacking}`);
    this.#stream = this.#session.api.stream('/overview/stream', {
      event: (name, data) => { if (name === 'rooms') this.#take(data); },
      state: (state, problem) => { if (this.#timer) this.#connection(state, problem); },
    });
  }

  close() {
    this.#timer = clearInterval(this.#timer);
    this.#unkey();
    this.#stream?.close();
  }

  tell(text) {
    this.#fault.hidden = !text;
    replace(this.#fault, icon('warning'), h('span', {}, text));
  }

  #connection(state, problem) {
    if (problem?.status === 401) return this.#signOut();
    if (state !== 'waiting' && state !== 'closed') return;
    this.#fresh = false;
    this.element.toggleAttribute('data-old', this.#at > 0);
    const old = this.#at ? ` What is below is old: as it was at ${timeOfDay(this.#at)}.` : '';
    this.tell(`The connection is lost. ${problem?.message ?? ''}${old}${state === 'waiting' ? ' Trying again.' : ''}`);
  }

  #take({ rooms, more }) {
    if (!this.#fresh) this.tell('');
    this.element.removeAttribute('data-old');
    [this.#fresh, this.#rooms, this.#at] = [true, rooms, Date.now()];
    setText(this.#more, more ? `And ${counted(more)} more: the list shows 200 at most. A room opens by its name all the same.` : '');
    this.#render();
  }

  #matching() {
    const words = this.#search.value.trim().toLowerCase();
    const fits = (room) => [room.name, ...room.members.map(nameOf)].some((text) => text.toLowerCase().includes(words));
    return this.#rooms.filter(fits).sort((a, b) => Boolean(b.help) - Boolean(a.help) || a.name.localeCompare(b.name));
  }

  #render() {
    const [found, all, name] = [this.#matching(), this.#rooms.length, this.#search.value.trim()];
    keyed(this.#list, found, (room) => room.uuid, () => new Row());
    this.#settle();
    const help = found.filter((room) => room.help).length;
    setText(this.#count, `${found.length < all ? `${found.length} of ` : ''}${counted(all)}${help ? `, ${help} asking for help` : ''}`);
    this.#empty.hidden = found.length > 0;
    setText(this.#empty, name ? `No live room or person matches “${name}”. Enter opens the room of this name all the same.`
      : 'No live rooms. One appears as soon as a call enters it. To try one, or to look at one that is over, write its name above and press Enter.');
    this.#durations();
  }

  #durations() {
    const since = (Date.now() - this.#at) / 1_000;
    if (this.#fresh) for (const element of this.#list.querySelectorAll('[data-seconds]')) setText(element, duration(Number(element.dataset.seconds) + since));
  }
}

class Row {
  #name = h('a', { class: 'roomname' });
  #state = h('span', { class: 'badge' });
  #help = h('span', { class: 'badge warn' }, icon('warning'), 'Help asked');
  #heard = h('span', { class: 'badge bad' }, icon('barge'), 'Customer hears a supervisor');
  #time = h('span', { class: 'number' });
  #people = h('ul', { class: 'row wrap people' });
  element = h('li', { class: 'card room' }, h('div', { class: 'row wrap' }, this.#name, this.#state, this.#help, this.#heard), this.#people,
    h('span', { class: 'row muted' }, icon('clock'), h('span', { class: 'visually-hidden' }, 'lasts '), this.#time));

  update(room) {
    setText(this.#name, room.name);
    this.#name.href = pageOf(room.name);
    setText(this.#state, room.state);
    this.#state.classList.toggle('good', room.state === 'live');
    this.#help.hidden = !room.help;
    this.#heard.hidden = !room.customer_hears_supervisor;
    this.element.classList.toggle('asks', !this.#help.hidden);
    this.#time.dataset.seconds = room.duration_s ?? 0;
    keyed(this.#people, room.members, (member) => member.id, () => new Person());
  }
}

class Person {
  #name = h('span');
  #what = h('span', { class: 'what' });
  #meter = h('span', { class: 'meter', 'aria-hidden': 'true' });
  #speaks = h('span', { class: 'visually-hidden' });
  element = h('li', { class: 'badge person' }, this.#name, this.#what, this.#speaks, this.#meter);

  update(member) {
    this.element.dataset.role = kind(member);
    setText(this.#name, nameOf(member));
    const states = [MODES[member.mode] ?? member.role ?? member.tag ?? 'no role', member.held && 'on hold', member.muted && member.mode !== 'monitor' && 'muted'];
    setText(this.#what, ` ${states.filter(Boolean).join(', ')}`);
    showLevel(this.#meter, this.element, member.level, member.speaking, this.#speaks);
  }
}
