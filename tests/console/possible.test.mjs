// Which buttons act, and what a key may.  node --test tests/console/
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { limits, refusal, scopes } from '../../console/app/permissions.js';
import { possible } from '../../console/app/possible.js';
import { agent, customer, me, other, room } from './rooms.mjs';

const key = (...names) => ({ scopes: names.length ? names : ['read', 'monitor', 'coach'] });
const now = (mode, more = {}) => {
  const mine = mode && me(mode);
  return possible({ key: key(), room: room([customer(), agent(), ...(mine ? [mine] : [])], []), me: mine ?? null, over: null, fresh: true, calling: Boolean(mine), muted: false, ...more });
};
const acting = (all) => Object.keys(all).filter((name) => all[name] === null);

test('before joining one can only join', () => {
  assert.deepEqual(acting(now(null)), ['monitor', 'whisper', 'barge']);
  assert.deepEqual(acting(now(null, { fresh: false })), []);
  assert.deepEqual(acting(now(null, { room: null })), []);
  assert.deepEqual(acting(now(null, { over: {} })), []);
});

test('giving back is for who has taken over or has just asked to', () => {
  assert.equal(now('barge').stop, 'You have not taken over.');
  assert.equal(now('takeover').stop, null);
  assert.equal(now('barge', { pending: 'takeover' }).stop, null);
});

test('without the connection only what lets fewer people hear is tried', () => {
  assert.deepEqual(acting(now('takeover', { fresh: false })), ['monitor', 'stop', 'mute', 'leave']);
  assert.match(now('whisper', { fresh: false }).barge, /connection is lost/);
  assert.match(now('barge', { fresh: false, muted: true }).mute, /stay muted/, 'nobody is unmuted in the dark');
});

test('a key that may only listen says what it lacks', () => {
  const all = now('monitor', { key: key('read', 'monitor') });
  assert.match(all.whisper, /lacks the scope coach/);
  assert.deepEqual(acting(all), ['monitor', 'leave']);
  assert.deepEqual(acting(now(null, { key: key('read', 'coach') })), ['monitor', 'whisper', 'barge'], 'who may coach may listen');
});

test('one takeover at a time, and who has it is named', () => {
  const sue = other(7, { role: 'supervisor', label: 'Sue', mode: 'takeover' });
  assert.equal(possible({ key: key(), room: room([customer(), sue, me('barge')], []), me: me('barge'), over: null, fresh: true, calling: true, muted: false }).takeover, 'Sue has taken over already.');
});

test('a microphone that is gone is not unmuted, and the way out is always open', () => {
  assert.match(now('whisper', { muted: true, lost: true }).mute, /gone/);
  assert.equal(now('whisper', { over: {}, room: null }).leave, null);
  assert.equal(now('monitor', { me: null }).monitor, 'You are on your way in.');
});

test('the scopes of a key and its limits are told, those it lacks too', () => {
  assert.deepEqual(scopes(key('read')).map(({ scope, held }) => [scope, held]), [['read', true], ['monitor', false], ['coach', false]]);
  assert.equal(refusal(key('read'), 'see'), null);
  assert.match(refusal(key('monitor'), 'see'), /scope read/);
  assert.equal(refusal(key('coach'), 'listen'), null);
  assert.match(refusal(key('coach'), 'monitor'), /scope monitor/);
  for (const action of ['whisper', 'barge', 'takeover', 'mute', 'invite', 'remove', 'end']) assert.match(refusal(key('read', 'monitor'), action), /scope coach/);
  assert.deepEqual(limits({ rooms: 'support-*', tag: 'vip', team: null, expires_at: null }), ['only rooms named support-*', 'only rooms with a member tagged vip']);
  assert.equal(limits({ expires_at: '2030-01-31T12:00:00Z' }).length, 1);
});
