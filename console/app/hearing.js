// Who hears whom in a room, read from the server's applied matrix. Default deny: what is not in it is not heard.

/** What a supervisor in a mode is doing. */
export const MODES = { monitor: 'listening', whisper: 'whispering', barge: 'speaking to all', takeover: 'taking over' };
const ORDER = ['customer', 'other', 'agent', 'supervisor'];

/** One of ORDER: a free tag may stand for a role, 'other' has neither. */
export const kind = ({ role, tag }) => (ORDER.includes(role ?? tag) ? role ?? tag : 'other');

/** The members: the person at this page first, then customers, supervisors last. */
export function inOrder(room) {
  const place = (member) => (member.you ? -1 : ORDER.indexOf(kind(member)));
  return [...room.members].sort((a, b) => place(a) - place(b) || a.id - b.id);
}

export const roleOf = (member) => member.role ?? (member.tag ? `no role, tag ${member.tag}` : 'no role');
/** 'anna' of 'sip:anna@phone.example': the domain is the same for all and tells nothing. */
const short = (number) => number?.replace(/^sips?:([^@]+)@.*$/, '$1');
export const nameOf = (member) => member.label || short(member.number) || `${roleOf(member)} ${member.id}`;

export const you = (room) => room.members.findLast((member) => member.you) ?? null;

/** Whether the member `listener` hears the member `source` (ids). */
export function hears(room, listener, source) {
  const row = room.hears.find(([id]) => id === listener);
  return listener !== source && row !== undefined && row[1].includes(source);
}

export const hearersOf = (room, source) => room.members.filter((member) => hears(room, member.id, source));
export const heardBy = (room, listener) => room.members.filter((member) => hears(room, listener, member.id));

/** What keeps a member apart from the others, or null. */
export function condition(member) {
  return member.taken_over ? 'set aside' : member.waiting ? 'waiting' : member.held ? 'on hold' : null;
}

/** Why `listener` does not hear `source`, for a person. Explains the matrix; never decides it. */
export function whyNot(room, listener, source) {
  const is = (member, state) => `${member.you ? 'you are' : `${nameOf(member)} is`} ${state}`;
  if (listener.id === source.id) return 'own voice';
  if (room.state === 'past') return 'did not hear';
  if (room.state === 'waiting') return 'the room has not started';
  const apart = [listener, source].find(condition);
  if (apart) return is(apart, condition(apart));
  if (listener.deaf) return is(listener, 'set to hear nothing');
  if (source.mode === 'monitor') return is(source, 'only listening');
  if (source.muted) return is(source, 'muted');
  return source.coach_audience ? is(source, 'whispering to others') : 'not permitted';
}

/** The matrix as rows of a table: { listener, cells: [{ source, heard, why not }] }. */
export function matrix(room) {
  const members = inOrder(room);
  const cell = (listener, source) => ({ source, heard: hears(room, listener.id, source.id), why: whyNot(room, listener, source) });
  return members.map((listener) => ({ listener, cells: members.map((source) => cell(listener, source)) }));
}
