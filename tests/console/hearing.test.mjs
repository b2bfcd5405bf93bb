import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hears, hearersOf, inOrder, kind, matrix, whyNot, you } from '../../console/app/hearing.js';
import { agent, customer, me, other, room } from './rooms.mjs';

test('what is not in the matrix is not heard', () => {
  const state = room([customer(), agent(), me('whisper')], [[1, [2]], [2, [1, 3]]]);
  assert.equal(hears(state, 2, 3), true);
  assert.equal(hears(state, 1, 3), false);
  assert.equal(hears(state, 3, 1), false, 'a listener without a row hears nobody');
  assert.deepEqual(hearersOf(state, 3).map((member) => member.id), [2]);
});

test('nobody is shown to hear himself, whatever a matrix says', () => {
  assert.equal(hears(room([customer()], [[1, [1]]]), 1, 1), false);
});

test('a tag stands for a role only where there is no role', () => {
  assert.equal(kind({ role: 'customer', tag: 'agent' }), 'customer');
  assert.equal(kind({ role: null, tag: 'agent' }), 'agent');
  assert.equal(kind({ role: null, tag: 'vip' }), 'other');
});

test('the person at the page comes first, then customers', () => {
  const state = room([me('monitor'), agent(), other(4), customer()], []);
  assert.deepEqual(inOrder(state).map((member) => member.id), [3, 1, 4, 2]);
  assert.equal(you(state).id, 3);
});

test('each cell that is not heard says why', () => {
  const why = (listener, source, extra = {}) => whyNot({ ...room([], []), ...extra }, listener, source);
  assert.equal(why(customer(), customer()), 'own voice');
  assert.equal(why(customer(), agent(), { state: 'waiting' }), 'the room has not started');
  assert.equal(why(agent({ taken_over: true, held: true }), customer()), 'Ben is set aside');
  assert.equal(why(customer(), agent({ held: true })), 'Ben is on hold');
  assert.equal(why(customer({ deaf: true }), agent()), 'Carla is set to hear nothing');
  assert.equal(why(customer(), me('monitor')), 'you are only listening');
  assert.equal(why(customer(), me('whisper', { muted: true })), 'you are muted');
  assert.equal(why(customer(), me('whisper')), 'you are whispering to others');
  assert.equal(why(other(4), agent()), 'not permitted');
});

test('the table has one row and one column for each member', () => {
  const rows = matrix(room([customer(), agent(), me('whisper')], [[1, [2]], [2, [1, 3]], [3, [1, 2]]]));
  assert.deepEqual(rows.map(({ cells }) => cells.map((cell) => (cell.heard ? 'x' : '.')).join('')), ['.xx', '..x', 'xx.']);
});
