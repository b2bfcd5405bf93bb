// What the server's log and reasons are in words, with the names that the cards show.
import { nameOf } from './hearing.js';

const ENDED = {
  requested: 'somebody ended it', max_duration: 'its longest time is over', restart: 'the server was restarted', end_on_exit: 'the person left with whom it ends',
  not_started: 'it did not start in time', fault: 'the server could not go on with its sound', alone: 'only one person was left', empty: 'everybody has left',
};
const LEFT = { hangup: 'hung up', kicked: 'removed by a supervisor or a program', transferred: 'the call went elsewhere', 'room ended': 'the room ended' };
const DOES = { monitor: 'listens, heard by nobody', whisper: 'whispers, heard by no customer', barge: 'speaks to all' };
/** Lines that a supervisor's mode says better: what it is after them. */
const CHANGES = ['member.muted', 'member.unmuted', 'member.coaching_started', 'member.coaching_stopped'];

/** Why a room is over, as part of a sentence; '' where that is not told. */
export const whyEnded = (reason) => ENDED[reason] ?? (reason && reason !== 'ended' ? reason.replaceAll('_', ' ') : '');

/** The text of a line of the room's log; `people`: members by number. */
export function lineText({ kind, text, member, mode }, people) {
  const known = people.get(member);
  if (!known) return inWords(text).replace(/\bsips?:([^@\s]+)@\S+/g, '$1');
  const who = nameOf(known);
  if (DOES[mode] && CHANGES.includes(kind)) return `${who} ${DOES[mode]}.`;
  if (DOES[mode] && kind === 'member.joined') return `${who} has joined and ${DOES[mode]}.`;
  return inWords(text).replace(subject(known.number), () => who);
}

/** As the server calls a member: its role and whom the call is with. */
const subject = (number) => new RegExp(`^(The (agent|supervisor|customer)|A member)( (${(number ?? '').replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}|sips?:\\S+)(?= ))?`);

const inWords = (text) => text.replace(/ \(([a-z ]+)\)\.$/, (all, why) => {
  const words = LEFT[why] ?? ENDED[why.replaceAll(' ', '_')];
  return words ? `: ${words}.` : all;
});
