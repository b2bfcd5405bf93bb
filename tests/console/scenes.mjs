// What the fake server answers: a key that may all, a room of three, and commands that are done at once.
import { agent, customer, me, room } from './rooms.mjs';

export const session = (key = {}) => ({
  account: { id: 'a', name: 'Example' }, server: { version: '1' }, now: new Date().toISOString(),
  key: { name: 'Sam', expires_at: null, scopes: ['read', 'monitor', 'coach'], rooms: null, tag: null, team: null, ...key },
});

const HEARS = {
  out: [[1, [2]], [2, [1]]],
  monitor: [[1, [2]], [2, [1]], [3, [1, 2]]],
  whisper: [[1, [2]], [2, [1, 3]], [3, [1, 2]]],
  barge: [[1, [2, 3]], [2, [1, 3]], [3, [1, 2]]],
  takeover: [[1, [3]], [3, [1]]],
};

/** A customer and an agent talk; this page takes part in a mode, or `out`: not at all. */
export function talk(mode = 'out', more = {}) {
  const aside = mode === 'takeover' ? { held: true, taken_over: true } : {};
  const members = [customer(), agent(aside), ...(mode === 'out' ? [] : [me(mode)])];
  return room(members, HEARS[mode], { applied_at: new Date().toISOString(), started_at: new Date(Date.now() - 187_000).toISOString(), help: false, ...more });
}

/** Lets commands of a scene have effect: joining, modes, links. */
export function obeys(scene) {
  let tick = 100;
  const applied = (mode) => {
    tick += 10;
    scene.show(talk(mode, { applied_tick: tick }));
    return { confirmed: true, shard: 0, applied_tick: tick, applied_at: scene.room.applied_at };
  };
  scene.command = ({ method, path, body }) => {
    if (path.endsWith('/join')) return { status: 201, body: { ...applied(body.mode), websocket: '/sip', sip: {}, ice_servers: [] } };
    if (path.endsWith('/mode')) return { status: 200, body: applied(body.mode === 'stop' ? 'monitor' : body.mode) };
    if (path.endsWith('/invite')) return { status: 201, body: { path: `/phone#i=token&as=${body.role}`, token: 'token', expires_at: new Date(Date.now() + 600_000).toISOString() } };
    if (path === '/phone/ice') return { status: 200, body: { realm: 'calls.example', websocket: '/sip', ice_servers: [] } };
    if (path === '/session') {
      const good = scene.tokens?.delete(body.token);
      return good ? { status: 201, body: { key: 'aside_k', expires_at: '2099-01-01T00:00:00Z' } } : { status: 404, body: { detail: 'the link has been used or has expired; ask for a new one' } };
    }
    return { status: method === 'GET' ? 404 : 200, body: method === 'GET' ? {} : applied(scene.room?.members.at(-1)?.mode ?? 'out') };
  };
  return scene;
}
