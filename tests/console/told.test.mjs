// The server's log and reasons in words.  node --test tests/console/
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lineText, whyEnded } from '../../console/app/told.js';
import { agent, me } from './rooms.mjs';

const ADDRESS = 'sip:ben@phone.example';
const people = new Map([agent({ number: ADDRESS }), me('whisper', { number: '15550100' })].map((member) => [member.id, member]));
const line = (kind, text, member = null, more = {}) => lineText({ id: 1, at: '2030-01-31T12:00:00Z', kind, text, member, ...more }, people);

test('a name in the log is the name on the card', () => {
  assert.equal(line('member.joined', `The agent ${ADDRESS} has joined.`, 2), 'Ben has joined.');
  assert.equal(line('member.held', 'The agent is on hold.', 2), 'Ben is on hold.');
  assert.equal(line('room.help_asked', `The agent ${ADDRESS} asks for a supervisor.`, 2), 'Ben asks for a supervisor.');
});

test('whom nobody can name is called by his number without its domain', () => {
  assert.equal(line('member.left', 'The customer sip:carla@x.example has left (kicked).', 9), 'The customer carla has left: removed by a supervisor or a program.');
});

test('what a supervisor does is said by who hears him', () => {
  const text = 'The supervisor 15550100 is no longer muted.';
  assert.equal(line('member.unmuted', text, 3, { mode: 'whisper' }), 'Sam whispers, heard by no customer.');
  assert.equal(line('member.muted', text, 3, { mode: 'monitor' }), 'Sam listens, heard by nobody.');
  assert.equal(line('member.coaching_stopped', text, 3, { mode: 'barge' }), 'Sam speaks to all.');
  assert.equal(line('member.joined', 'The supervisor 15550100 has joined.', 3, { mode: 'monitor' }), 'Sam has joined and listens, heard by nobody.');
  assert.equal(line('member.unmuted', text, 3), 'Sam is no longer muted.', 'a line without a mode says what it says');
});

test('each reason of an end is a sentence and one that is new is shown as it is', () => {
  for (const reason of ['requested', 'max_duration', 'restart', 'end_on_exit', 'not_started', 'fault', 'alone', 'empty']) {
    assert.doesNotMatch(whyEnded(reason), /_/);
    assert.notEqual(whyEnded(reason), reason);
    assert.equal(line('room.ended', `The room has ended (${reason.replaceAll('_', ' ')}).`), `The room has ended: ${whyEnded(reason)}.`);
  }
  assert.deepEqual([whyEnded('ended'), whyEnded(''), whyEnded('some_new_one')], ['', '', 'some new one']);
  assert.equal(line('api.refused', 'Refused: watch a room (no).'), 'Refused: watch a room (no).');
});
