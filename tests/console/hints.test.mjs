// What a button promises is what would happen in the room as it is.  node --test tests/console/
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hints } from '../../console/app/hints.js';
import { agent, customer, me, other, room } from './rooms.mjs';

const of = (members, mine = null) => hints(room(members, []), mine);

test('no button promises a customer who is on hold or not there', () => {
  assert.equal(of([customer(), agent()]).barge, 'The customer hears you; Ben hears you too');
  assert.equal(of([customer({ held: true }), agent()]).barge, 'Customer on hold: hears you later; Ben hears you');
  assert.equal(of([agent()]).barge, 'No customer is here; Ben hears you');
  assert.equal(of([customer(), customer({ id: 9, held: true })]).barge, '1 of 2 customers hears you');
  assert.equal(of([agent()]).takeover, 'No customer is here; Ben is set aside');
  assert.equal(of([customer()]).takeover, 'The customer hears you; no agent is here to set aside');
});

test('a whisper promises those whom it reaches', () => {
  assert.equal(of([customer(), agent()]).whisper, 'Only Ben hears you');
  assert.equal(of([customer()]).whisper, 'No agent is here to hear you');
  assert.equal(of([customer(), agent({ held: true })]).whisper, 'Ben is on hold: nobody hears you');
  assert.equal(of([customer(), other(4, { tag: 'agent' })]).whisper, 'Only Guest 4 hears you');
  const mine = me('monitor', { coach_audience: { tags: [], roles: [], members: [4] } });
  assert.equal(of([customer(), agent(), other(4), mine], mine).whisper, 'Only Guest 4 hears you', 'the audience that a program gave counts');
});

test('unmuting says whom it reaches in the mode that holds', () => {
  const [whisper, barge] = [me('whisper', { muted: true }), me('barge', { muted: true })];
  assert.equal(of([customer(), agent(), whisper], whisper).unmute, 'Then Ben hears you');
  assert.equal(of([customer(), agent(), barge], barge).unmute, 'Then Carla and Ben hear you');
});

test('who comes back is named', () => {
  const mine = me('takeover');
  const { stop, leave } = of([customer(), agent({ held: true, taken_over: true }), mine], mine);
  assert.deepEqual([stop, leave], ['You listen again; Ben comes back', 'Your call ends; Ben comes back']);
  assert.equal(of([customer(), agent()]).leave, 'Your call ends, the others go on');
});

test('who ends his takeover is told that whoever he set aside comes back and hears him', () => {
  const mine = me('takeover');
  const { whisper, barge, monitor } = of([customer(), agent({ held: true, taken_over: true }), mine], mine);
  assert.equal(whisper, 'Only Ben hears you; Ben comes back');
  assert.equal(barge, 'The customer hears you; Ben hears you too; Ben comes back');
  assert.equal(monitor, 'You hear all; nobody hears you; Ben comes back');
});

test('without a room nothing is promised wrongly', () => {
  assert.equal(hints(null, null).barge, 'No customer is here');
});
