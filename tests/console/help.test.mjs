// The question for a supervisor, as the agent's page keeps it.  node --test tests/console/
import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { Help } from '../../console/phone/help.js';

beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }));
afterEach(() => mock.timers.reset());

const settled = () => new Promise((done) => setImmediate(() => setImmediate(done)));

/** A question against a server that answers so; what it was asked and what happened. */
function question(answers) {
  const [asked, told] = [[], []];
  const send = (method) => async (path, body) => { asked.push([method, path, body?.call_uuid]); return null; };
  const help = new Help({ post: send('POST'), delete: send('DELETE'), get: async (path) => { asked.push(['GET', path]); return answers(); } }, 'c/1');
  for (const name of ['change', 'come']) help.addEventListener(name, () => told.push(name === 'come' ? 'come' : help.asked));
  const looks = async () => { mock.timers.tick(3_000); await settled(); };
  return { help, asked, told, looks };
}

test('the question is over when a supervisor has come, and the agent is told', async () => {
  let open = true;
  const { help, asked, told, looks } = question(() => ({ asked: open }));
  await help.toggle();
  await looks();
  assert.deepEqual(asked, [['POST', '/phone/help', 'c/1'], ['GET', '/phone/help?call_uuid=c%2F1']]);
  assert.deepEqual(told, [true]);
  open = false;
  await looks();
  assert.deepEqual(told, [true, false, 'come']);
  await looks();
  assert.equal(asked.length, 3, 'nobody looks any more');
});

test('what is taken back is not called answered, and a lost network changes nothing', async () => {
  const { help, asked, told, looks } = question(() => { throw Object.assign(new Error('gone'), { temporary: true }); });
  await help.toggle();
  await looks();
  await looks();
  assert.deepEqual(told, [true]);
  await help.toggle();
  await looks();
  assert.deepEqual([told, asked.at(-1)[0]], [[true, false], 'DELETE']);
});

test('a call that is over asks for nobody', async () => {
  const { help, asked, told, looks } = question(() => { throw Object.assign(new Error('no such call'), { temporary: false }); });
  await help.toggle();
  await looks();
  assert.deepEqual(told, [true, false]);
  await help.toggle();
  help.end();
  await looks();
  assert.equal(asked.length, 3);
});
