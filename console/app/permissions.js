// What a key may do, in words: what it may not is explained, never hidden.

const SCOPES = {
  read: 'see rooms, levels, logs and who hears whom',
  monitor: 'join to listen, and give a call back',
  coach: 'whisper, speak to all, take over, mute, invite, remove members, end rooms',
};

const NEEDS = { see: ['read'], listen: ['monitor', 'coach'], monitor: ['monitor'], stop: ['monitor'] };

/** Why the key may not do `action`, as a sentence; null when it may. */
export function refusal(key, action) {
  const needed = NEEDS[action] ?? ['coach'];
  return needed.some((scope) => key.scopes.includes(scope)) ? null : `Your key may not: it lacks the scope ${needed.join(' or ')}.`;
}

/** The scopes with what each opens: [{ scope, opens, held }]. */
export const scopes = (key) => Object.entries(SCOPES).map(([scope, opens]) => ({ scope, opens, held: key.scopes.includes(scope) }));

/** The limits of a key as phrases, such as "only rooms named support-*". */
export const limits = (key) => [
  key.rooms && `only rooms named ${key.rooms}`,
  key.tag && `only rooms with a member tagged ${key.tag}`,
  key.team && `only the team ${key.team}`,
  key.expires_at && `until ${new Date(key.expires_at).toLocaleString()}`,
].filter(Boolean);
