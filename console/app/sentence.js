// "Who hears me now?" in one sentence, from what the server applied.
import { condition, heardBy, hearersOf, kind, nameOf, you } from './hearing.js';
import { LABELS } from './labels.js';

/** 'a', 'a and b', 'a, b and c'. */
export const list = (words) => (words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`);

const named = (members) => list(members.map(nameOf));
const of = (which, members) => members.filter((member) => kind(member) === which);
const hear = (members) => (members.length === 1 ? 'hears' : 'hear');

/** "the agent", "the two agents", "2 of 3 agents". */
function group(which, some, all) {
  if (which === 'other' && some.length < 3) return named(some);
  const word = { other: 'member', supervisor: 'other supervisor' }[which] ?? which;
  if (all.length === 1) return `the ${word}`;
  if (some.length < all.length) return `${some.length} of ${all.length} ${word}s`;
  return `the ${all.length === 2 ? 'two' : all.length} ${word}s`;
}

/**
 * Who hears the person at this page: { tone, headline, detail }; the tone is unknown, out, nobody, aside or public: a customer hears,
 * or anybody may. `fresh`: the stream is up; `microphoneOff`: in this browser; `microphoneLost`: it is gone; `calling`: this page has a call.
 */
export function whoHearsMe(room, { fresh, microphoneOff = false, microphoneLost = false, calling = false }) {
  const says = (tone, headline, detail) => ({ tone, headline, detail });
  if (!fresh) return says('unknown', 'Who hears you is not known', unknown(microphoneOff || microphoneLost, calling));
  const me = you(room);
  if (!me && calling) return says('unknown', 'You are on your way in', 'The server does not show you in the room yet.');
  if (!me) return says('out', 'Nobody hears you', 'You are not in this room.');
  if (!calling) return says('nobody', 'Nobody hears you', 'Your call is over here: nothing leaves this browser. The server still shows your place.');
  const hearers = hearersOf(room, me.id);
  const others = room.members.filter((member) => member.id !== me.id);
  if (me.mode !== 'monitor' && microphoneLost) return says('nobody', 'Nobody hears you: your microphone is gone', 'Plug one in, then choose it under “Microphone and speaker”.');
  if (me.mode !== 'monitor' && (microphoneOff || me.muted)) {
    const then = hearers.length > 0 ? ` Unmuted, you are heard by ${named(hearers)}.` : '';
    return says('nobody', 'Nobody hears you: you are muted', `Your microphone is off in ${me.muted ? 'the room' : 'this browser'}.${then}`);
  }
  if (hearers.length === 0) return says('nobody', 'Nobody hears you', `${nobody(room, me, others)}${microphoneLost ? ' Your microphone is gone.' : ''}`);
  return somebody(me, hearers, others, says);
}

function unknown(microphoneOff, calling) {
  if (!calling) return 'The connection to the server is gone. This page has no call.';
  return microphoneOff ? 'The connection to the server is gone. Your microphone is off in this browser: nothing leaves it.'
    : 'The connection to the server is gone. Your call may still be up: speak as if the customer heard you, or mute.';
}

function nobody(room, me, others) {
  if (room.state === 'waiting') return 'The room has not started: its members wait.';
  if (condition(me)) return `You are ${condition(me)}.`;
  if (me.mode === 'monitor') return 'You are listening. The mode keeps you muted.';
  if (me.coach_audience) {
    const agents = of('agent', others);
    return agents.length > 0 ? `You are whispering, and ${named(agents)} cannot hear now.`
      : 'You are whispering, and no agent is in the room. An agent who joins hears you from the first moment.';
  }
  return others.length > 0 ? `You speak to all, and ${named(others)} cannot hear now.`
    : 'Nobody else is in the room. Whoever joins hears you at once, a customer too.';
}

function somebody(me, hearers, others, says) {
  const open = !me.coach_audience;
  const [customers, all] = [of('customer', hearers), of('customer', others)];
  const aside = others.filter((member) => member.taken_over);
  const back = aside.length > 0 ? [`Set aside, with no path to or from anybody: ${named(aside)}. “${LABELS.stop}” brings them back.`] : [];
  if (customers.length > 0) {
    const rest = hearers.filter((member) => kind(member) !== 'customer');
    const too = rest.length > 0 ? [`${named(rest)} ${hear(rest)} you too.`] : [];
    const who = group('customer', customers, all);
    return says('public', `${who.charAt(0).toUpperCase()}${who.slice(1)} ${hear(customers)} you`, [...too, ...back].join(' '));
  }
  const kinds = ['agent', 'other', 'supervisor'].filter((which) => of(which, hearers).length > 0);
  const groups = list(kinds.map((which) => group(which, of(which, hearers), of(which, others))));
  const everyone = open && others.length > 1 && hearers.length === others.length;
  return says(open ? 'public' : 'aside', everyone ? 'Everyone here hears you' : `Only ${groups} ${hear(hearers)} you`, [...back, notThem(all, open)].join(' '));
}

function notThem(customers, open) {
  if (customers.length === 0) return open ? 'A customer who joins hears you at once.' : 'No customer is in the room.';
  const who = customers.length === 1 ? 'The customer does' : 'The customers do';
  if (!open) return `${who} not hear you.`;
  const state = condition(customers[0]);
  return `${who} not hear you now${state ? ` (${state})` : ''}, but will as soon as that changes.`;
}

/** Whom the person at this page hears; '' when not in the room. */
export function whomIHear(room) {
  const me = you(room);
  return me ? `You hear ${named(heardBy(room, me.id)) || 'nobody'}.` : '';
}

/** Whether a customer heard a supervisor in a room of the past; a member's `tag` is undefined where nobody knows it any more. */
export function customerHeardSupervisor(room) {
  if (room.members.length === 0) return 'Nobody heard anybody.';
  const missing = ['customer', 'supervisor'].find((which) => of(which, room.members).length === 0);
  const unknown = room.members.some(({ role, tag }) => !role && tag === undefined);
  if (missing) return unknown ? `Nobody of the role ${missing} was in the room.` : `No ${missing} was in the room.`;
  const heard = of('customer', room.members).some((customer) => of('supervisor', heardBy(room, customer.id)).length > 0);
  return heard ? 'The customer could hear a supervisor.' : 'The customer could not hear any supervisor.';
}
