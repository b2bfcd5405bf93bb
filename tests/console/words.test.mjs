// Links, times and the ends of calls.  node --test tests/console/
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { takeLink } from '../../console/app/link.js';
import { timeOfDay } from '../../console/lib/dom.js';
import { outcomeOf } from '../../console/lib/outcome.js';

test('a sign-in link leaves the address at once, whatever comes of it', () => {
  const taken = (hash) => {
    const shown = [];
    return [takeLink({ hash }, { replaceState: (...args) => shown.push(args[2]) }), shown];
  };
  assert.deepEqual(taken('#k=abc&room=support%207%2Fa'), [{ token: 'abc', room: 'support 7/a' }, ['#/rooms/support%207%2Fa']]);
  assert.deepEqual(taken('#k=abc'), [{ token: 'abc', room: null }, ['#/']]);
  for (const other of ['', '#', '#/', '#/rooms/k=1', '#k=', '#room=a', '#content']) assert.deepEqual(taken(other), [null, []], other);
});

test('a time that is not of today has its date', () => {
  const today = new Date(2030, 0, 31, 12, 3, 4);
  assert.doesNotMatch(timeOfDay(new Date(2030, 0, 31, 11, 0, 0), today), /31|Jan/);
  assert.match(timeOfDay(new Date(2030, 0, 30, 11, 0, 0), today), /30/);
  assert.doesNotMatch(timeOfDay(new Date(2030, 0, 30, 11, 0, 0), today), /2030/);
  assert.match(timeOfDay(new Date(2029, 11, 31, 11, 0, 0), today), /2029/);
  assert.equal(timeOfDay('nonsense'), '');
});

test('the end of a call is told without the words of the protocol, but with those that somebody wrote', () => {
  const far = (reason) => outcomeOf({ by: 'far', before: 'live', status: 200, reason }).text;
  for (const plain of ['', 'OK', 'Normal Clearing', 'NORMAL CALL CLEARING', 'the peer hung up']) assert.equal(far(plain), 'The other side ended the call.', plain);
  assert.equal(far('We are closed today'), 'The other side ended the call: “We are closed today”.');
  const refused = (status, reason) => outcomeOf({ by: 'far', before: 'connecting', status, reason });
  assert.deepEqual([refused(503, 'Service Unavailable').text, refused(503, '').reason], ['The server takes no more calls just now. Try again in a moment.', 'failed']);
  assert.equal(outcomeOf({ status: 503, local: true, before: 'connecting' }).reason, 'lost');
  assert.match(refused(500, 'Server Internal Error').text, /^The call could not be made just now\..*: 500 Server Internal Error\.$/);
});
