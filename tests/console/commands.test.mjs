import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Commands, shows } from '../../console/app/commands.js';
import { room } from './rooms.mjs';

/** Commands with a clock that stands and waits that end when told. */
function setup() {
  let ids = 0;
  const waits = [];
  const wait = () => new Promise((done) => waits.push(done));
  const commands = new Commands({ now: () => 0, id: () => `id-${(ids += 1)}`, wait });
  const refusals = [];
  commands.addEventListener('refused', (event) => refusals.push(event.problem.message));
  return { commands, waits, refusals };
}

const answer = (tick, confirmed = true) => ({ confirmed, shard: 0, applied_tick: tick, applied_at: '2030-01-31T12:03:05.000000Z' });
const at = (tick, more) => room([], [], { applied_tick: tick, ...more });
const flush = () => new Promise((done) => setImmediate(done));

test('a second press while one is pending does nothing', async () => {
  const { commands } = setup();
  const sent = [];
  const send = (id) => { sent.push(id); return new Promise(() => {}); };
  commands.ask('whisper', 'whisper', send);
  assert.equal(await commands.ask('whisper', 'whisper', send), false);
  assert.deepEqual(sent, ['id-1']);
});

test('another command goes out though one is pending, and the first may follow again', () => {
  const { commands } = setup();
  const sent = [];
  const send = (name) => () => { sent.push(name); return new Promise(() => {}); };
  for (const name of ['whisper', 'stop', 'stop', 'whisper']) commands.ask(name, name, send(name));
  assert.deepEqual(sent, ['whisper', 'stop', 'whisper']);
});

test('an answer alone is not the sound: the stream has to show its tick', async () => {
  const { commands } = setup();
  commands.saw(at(100));
  await commands.ask('barge', 'barge', async () => answer(120));
  assert.equal(commands.pending?.name, 'barge');
  commands.saw(at(119));
  assert.equal(commands.pending?.name, 'barge');
  commands.saw(at(120));
  assert.equal(commands.pending, null);
});

test('a stream that was faster than the answer ends the command with it', async () => {
  const { commands } = setup();
  commands.saw(at(120));
  await commands.ask('barge', 'barge', async () => answer(120));
  assert.equal(commands.pending, null);
});

test('an unconfirmed answer stays pending as long as the room says so', () => {
  assert.equal(shows(at(130, { pending: true }), answer(120, false)), false);
  assert.equal(shows(at(130), answer(120, false)), true);
  assert.equal(shows(at(5, { shard: 1, applied_at: '2030-01-31T12:03:06Z' }), answer(120)), true, 'ticks of two shards do not compare');
});

test('a command that changed nothing does not stay pending for ever', async () => {
  const { commands, waits } = setup();
  commands.saw(at(100));
  await commands.ask('monitor', 'listen', async () => answer(110));
  waits.forEach((done) => done());
  await flush();
  assert.equal(commands.pending, null);
});

test('a lost answer is asked for again under the same id', async () => {
  const { commands, waits } = setup();
  const sent = [];
  const asked = commands.ask('stop', 'stop', async (id) => {
    sent.push(id);
    if (sent.length === 1) throw Object.assign(new Error('not reached'), { status: 0 });
    return answer(120);
  });
  await flush();
  waits[0]();
  assert.equal(await asked, true);
  assert.deepEqual(sent, ['id-1', 'id-1']);
});

test('a refusal is told and leaves nothing pending', async () => {
  const { commands, refusals } = setup();
  const done = await commands.ask('barge', 'barge', async () => { throw Object.assign(new Error('not with this key'), { status: 403 }); });
  assert.deepEqual([done, refusals, commands.pending], [false, ['not with this key'], null]);
});
