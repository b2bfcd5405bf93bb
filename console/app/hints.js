// What each button would do, in this room and now.
import { condition, kind, nameOf } from './hearing.js';
import { list } from './sentence.js';

/** Whom a supervisor coaches unless his audience says otherwise: roles, and tags that stand for them. */
const COACHED = { roles: ['agent', 'supervisor'], tags: ['agent', 'supervisor'], members: [] };

const named = (members) => (members.length > 3 ? `${members.length} people` : list(members.map(nameOf)));
const hear = (members) => (members.length === 1 ? 'hears' : 'hear');
const are = (members) => (members.length === 1 ? 'is' : 'are');
const away = (member) => condition(member) ?? 'set to hear nothing';
const listens = (member) => !condition(member) && !member.deaf;

/** { name of a button: what it would do; customer: what that is to customers }; `me` is this page's member or null. */
export function hints(room, me) {
  const others = (room?.members ?? []).filter((member) => member.id !== me?.id);
  // Every other mode ends this page's takeover: whoever it has set aside is back.
  const ends = me?.mode === 'takeover';
  const after = others.map((member) => (ends && member.taken_over ? { ...member, taken_over: false, held: false, deaf: false } : member));
  const of = (which) => others.filter((member) => kind(member) === which);
  const [agents, customers, aside] = [of('agent'), of('customer'), others.filter((member) => member.taken_over)];
  const { roles, tags, members } = me?.coach_audience ?? COACHED;
  const coached = after.filter((member) => roles.includes(member.role) || tags.includes(member.tag) || members.includes(member.id));
  const ears = (me?.mode === 'whisper' ? coached : others).filter(listens);
  return {
    monitor: ends ? comeBack('You hear all; nobody hears you', aside) : 'You hear all; nobody hears you',
    whisper: ends ? comeBack(whisper(coached), aside) : whisper(coached),
    barge: ends ? comeBack(barge(customers, after), aside) : barge(customers, after),
    takeover: `${first(customers)}; ${agents.length > 0 ? `${named(agents)} ${are(agents)} set aside` : 'no agent is here to set aside'}`,
    customer: first(customers),
    stop: comeBack('You listen again', aside),
    mute: 'Your microphone off',
    unmute: ears.length > 0 ? `Then ${named(ears)} ${hear(ears)} you` : 'Your microphone on',
    leave: comeBack(me?.mode === 'takeover' && aside.length > 0 ? 'Your call ends' : 'Your call ends, the others go on', aside),
  };
}

function whisper(coached) {
  const ears = coached.filter(listens);
  if (ears.length > 0) return `Only ${named(ears)} ${hear(ears)} you`;
  return coached.length > 0 ? `${nameOf(coached[0])} is ${away(coached[0])}: nobody hears you` : 'No agent is here to hear you';
}

function barge(customers, others) {
  const rest = others.filter((member) => listens(member) && kind(member) !== 'customer');
  return `${first(customers)}${rest.length > 0 ? `; ${named(rest)} ${hear(rest)} you${customers.some(listens) ? ' too' : ''}` : ''}`;
}

function first(customers) {
  const ears = customers.filter(listens);
  if (ears.length > 0) return customers.length === 1 ? 'The customer hears you' : `${ears.length} of ${customers.length} customers ${hear(ears)} you`;
  return customers.length > 0 ? `Customer ${away(customers[0])}: hears you later` : 'No customer is here';
}

const comeBack = (words, aside) => (aside.length > 0 ? `${words}; ${named(aside)} ${aside.length === 1 ? 'comes' : 'come'} back` : words);
