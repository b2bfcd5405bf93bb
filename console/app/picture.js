// The people of a room: each card says whether that person hears you, and lines carry your voice to those who do.
import { h, icon, replace, setText } from '/console/lib/dom.js';
import { MODES, condition, heardBy, hears, inOrder, kind, nameOf, roleOf, you } from './hearing.js';
import { keyed } from './keyed.js';
import { showLevel } from './levels.js';
import { list, whomIHear } from './sentence.js';

const MOST_LINES = 4; // more people have cards alone

function svg(tag, attributes) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

const spoken = () => h('span', { class: 'visually-hidden' });
const meter = () => h('div', { class: 'meter', 'aria-hidden': 'true' });

export class Picture {
  #cast = h('ul', { class: 'cast', 'aria-label': 'People in the room' });
  #between = h('p', { class: 'link' });
  #lines = svg('svg', { class: 'lines', viewBox: '0 0 100 100', preserveAspectRatio: 'none', 'aria-hidden': 'true' });
  #me = new Me(); #mine = null; #cards = new Map(); #remove;
  element = h('div', { class: 'picture' }, h('div', { class: 'others' }, this.#cast, this.#between), this.#lines, this.#me.element);

  /** `remove(member)` when a card's button is pressed. */
  constructor(remove) { this.#remove = remove; }

  /** `here`: { fresh, doing, silent, mayRemove }; `silent`: nothing leaves this browser. */
  show(room, here) {
    const me = you(room);
    const others = inOrder(room).filter((member) => member !== me);
    this.#mine = me?.id;
    this.element.dataset.count = others.length > MOST_LINES ? 'many' : others.length;
    this.#cast.style.setProperty('--count', Math.max(1, others.length));
    const facts = others.map((member) => ({ member, room, me, here, heard: me !== null && !here.silent && hears(room, member.id, me.id) }));
    this.#cards = keyed(this.#cast, facts, (fact) => fact.member.id, () => new Card(this.#remove));
    this.#lines.replaceChildren(...(me && others.length <= MOST_LINES ? facts : []).map(({ heard }, at) => {
      const x = ((at + 0.5) / others.length) * 100;
      return svg('path', { d: `M${x} 0V30C${x} 70 50 30 50 70V100`, class: heard && here.fresh ? 'heard' : '', 'vector-effect': 'non-scaling-stroke' });
    }));
    this.#link(room, others, here.fresh);
    this.#me.show(room, me, here);
    if (!here.fresh) this.levels([...this.#cards.keys(), this.#mine].map((id) => [id, null, 0]));
  }

  levels(levels) {
    for (const [id, dbfs, speaking] of levels) (id === this.#mine ? this.#me : this.#cards.get(id))?.level(dbfs, speaking);
  }

  #link(room, [left, right, third], fresh) {
    this.#between.hidden = !right || Boolean(third) || !fresh;
    if (this.#between.hidden) return;
    const [there, back] = [hears(room, right.id, left.id), hears(room, left.id, right.id)];
    const [sign, text] = there && back ? ['↔', 'hear each other'] : there ? ['→', 'one way'] : back ? ['←', 'one way'] : ['✕', 'cannot hear each other'];
    if (this.#between.textContent !== sign + text) replace(this.#between, h('span', { 'aria-hidden': 'true' }, sign), text);
    this.#between.classList.toggle('cut', !there && !back);
  }
}

class Card {
  #role = h('span', { class: 'badge' });
  #signs = h('span', { class: 'row wrap signs' });
  #name = h('strong', { class: 'name' });
  #speaks = spoken();
  #meter = meter();
  #hears = h('p', { class: 'small muted' });
  #strip = h('p', { class: 'strip' });
  #button; #member; #drawn = '';

  constructor(remove) {
    this.#button = h('button', { class: 'button quiet small remove', onclick: () => remove(this.#member) }, icon('close'));
    this.element = h('li', { class: 'member' }, h('div', { class: 'face' }, h('div', { class: 'row wrap signs' }, this.#role, this.#signs), h('p', {}, this.#name, this.#speaks), this.#meter, this.#hears, this.#button), this.#strip);
  }

  update({ member, room, me, here: { fresh, silent, mayRemove }, heard }) {
    this.#member = member;
    const ears = heardBy(room, member.id).filter((source) => !(source.you && silent)).map((source) => (source.you ? 'you' : nameOf(source)));
    const now = JSON.stringify([member, heard, me?.id, ears, fresh, mayRemove]);
    if (now === this.#drawn) return;
    this.#drawn = now;
    this.#role.dataset.role = kind(member);
    this.element.dataset.heard = fresh && heard ? 'yes' : 'no';
    this.element.toggleAttribute('data-apart', condition(member) !== null);
    setText(this.#role, roleOf(member));
    setText(this.#name, nameOf(member));
    replace(this.#signs, signs(member));
    setText(this.#hears, `${fresh ? 'Hears' : 'Heard'} ${list(ears) || 'nobody'}`);
    this.#button.hidden = !mayRemove;
    this.#button.ariaLabel = `Remove ${nameOf(member)} from the room`;
    this.#strip.hidden = me === null;
    replace(this.#strip, fresh ? [icon(heard ? 'ear' : 'close'), heard ? 'hears you' : 'does not hear you'] : [icon('warning'), 'not known now']);
  }

  level(dbfs, speaking) { showLevel(this.#meter, this.element, dbfs, speaking, this.#speaks); }
}

function signs(member) {
  const sign = (text, tone = '') => text && h('span', { class: `badge ${tone}` }, text);
  return [sign(condition(member), 'warn'), sign(member.help && 'asks for help', 'warn'), sign(member.deaf && 'hears nothing', 'warn'),
    sign(member.muted && member.mode !== 'monitor' && 'muted'), sign(MODES[member.mode]), sign(member.role && member.tag)];
}

class Me {
  #title = h('strong');
  #state = h('span', { class: 'badge' });
  #speaks = spoken();
  #meter = meter();
  #hears = h('p', { class: 'small' });
  element = h('div', { class: 'me card' }, h('div', { class: 'row between wrap' }, h('span', { class: 'row' }, icon('person'), this.#title, this.#speaks), this.#state), this.#meter, this.#hears);

  show(room, me, { doing, silent, fresh }) {
    setText(this.#title, me?.label ? `You · ${me.label}` : 'You');
    const mode = !me ? 'not in the room' : silent && me.mode !== 'monitor' ? 'muted' : MODES[me.mode] ?? 'in the room';
    setText(this.#state, doing ?? (me && !fresh ? `${mode}, when last known` : mode));
    this.element.toggleAttribute('data-out', !me);
    setText(this.#hears, fresh && me ? whomIHear(room) : fresh && !doing && room.members.length > 0 ? 'Join to hear them: who listens is heard by nobody.' : '');
    if (!me) this.level(null, 0);
  }

  level(dbfs, speaking) { showLevel(this.#meter, this.element, dbfs, speaking, this.#speaks); }
}
