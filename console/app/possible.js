// Which buttons do something now, and why the others do not.
import { nameOf } from './hearing.js';
import { refusal } from './permissions.js';

const NAMES = ['monitor', 'whisper', 'barge', 'takeover', 'stop', 'mute', 'leave'];

/**
 * Why each button does nothing: { name: sentence | null }. `me` is this page's member or null, `muted` whether its microphone is off here,
 * `lost` whether it is gone, `pending` what was asked for and is not in the sound yet.
 */
export const possible = (now) => Object.fromEntries(NAMES.map((name) => [name, why(name, now)]));

function why(name, { key, room, me, over, fresh, calling, muted, lost = false, pending = null }) {
  if (name === 'leave') return calling ? null : 'You are not in the room.';
  if (over) return 'The room is over.';
  if (!room) return 'There is no live room.';
  if (!calling) {
    if (['takeover', 'stop', 'mute'].includes(name)) return 'Join first.';
    return refusal(key, name === 'monitor' ? 'listen' : name) ?? (fresh ? null : 'The connection is lost.');
  }
  if (name === 'mute' && !muted && !me?.muted) return null;
  if (!me) return 'You are on your way in.';
  if (name === 'mute' && me.mode === 'monitor' && !muted) return 'Listening mutes you already.';
  if (name === 'mute') return lost ? 'Your microphone is gone.' : fresh ? null : 'Who would hear you is not known: you stay muted.';
  if (name === 'stop' && me.mode !== 'takeover' && pending !== 'takeover') return 'You have not taken over.';
  const taken = name === 'takeover' && room.members.find((member) => member.mode === 'takeover' && member.id !== me.id);
  if (taken) return `${nameOf(taken)} has taken over already.`;
  // Who only listens is heard by fewer: it is tried even in the dark.
  return refusal(key, name) ?? (fresh || ['stop', 'monitor'].includes(name) ? null : 'The connection is lost: listen, mute or leave.');
}
