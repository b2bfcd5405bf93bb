// Rooms as the live stream shows them.

const COACH = { tags: [], roles: ['agent', 'supervisor'], members: [] };
const member = (id, role, label, more) => ({
  id, call_uuid: `call-${id}`, role, tag: null, label, number: null, held: false, muted: false, deaf: false, waiting: false, mode: null,
  coach_audience: null, taken_over: false, transport: 'sip', you: false, ...more,
});

export const customer = (more) => member(1, 'customer', 'Carla', more);
export const agent = (more) => member(2, 'agent', 'Ben', more);
export const other = (id, more) => member(id, null, `Guest ${id}`, more);

/** This page's member, number 3, in a mode. */
export function me(mode, more) {
  const coaching = mode === 'monitor' || mode === 'whisper';
  return member(3, 'supervisor', 'Sam', { mode, muted: mode === 'monitor', coach_audience: coaching ? COACH : null, you: true, ...more });
}

/** A room with these members and this matrix: [[listener, [sources]]]. */
export const room = (members, hears, more) => ({
  name: 'support-7', uuid: 'life', shard: 0, applied_tick: 100, applied_at: '2030-01-31T12:03:04.000000Z', pending: false, state: 'live',
  started_at: '2030-01-31T12:00:00Z', max_members: 10, members, hears, ended: null, ...more,
});
