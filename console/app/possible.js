// Which buttons do something now, and why the others do not.
import { refusal } from './permissions.js';

const NAMES = ['monitor', 'whisper', 'barge', 'takeover', 'stop', 'mute', 'leave'];

/** Why each button does nothing: { name: sentence | null }. `me` is this page's member or null, `muted` whether its microphone is off here. */
export const possible = (now) => Object.fromEntries(NAMES.map((name) => [name, why(name, now)]));

function why(name, { key, room, me, over, fresh, calling, muted }) {
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
  if (name === 'mute') return fresh ? null : 'Who would hear you is not known: you stay muted.';
  // Stopping can only make fewer people hear: it is tried even in the dark.
  return refusal(key, name) ?? (fresh || name === 'stop' ? null : 'The connection is lost: wait, mute or leave.');
}
