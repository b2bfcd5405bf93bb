// Server-sent events as the pages read them, and refusals as sentences.  node --test tests/console/
import assert from 'node:assert/strict';
import { mock, test } from 'node:test';

import { Api, Problem } from '../../console/lib/api.js';
import { EventParser } from '../../console/lib/stream.js';

const TEXT = ': hello\r\nevent: room\r\ndata: {"a":\r\ndata: 1}\r\n\r\nid: 5\ndata:x\n\nevent: lost\n\nevent:levels\rdata: [1]\r\rdata: last\n';
const EVENTS = [{ name: 'room', data: '{"a":\n1}' }, { name: 'message', data: 'x' }, { name: 'levels', data: '[1]' }];

test('events_are_the_same_wherever_the_network_cuts_them', () => {
  for (let cut = 0; cut <= TEXT.length; cut++) {
    const parser = new EventParser();
    assert.deepEqual([...parser.push(TEXT.slice(0, cut)), ...parser.push(TEXT.slice(cut))], EVENTS, `cut at ${cut}`);
  }
  const parser = new EventParser();
  assert.deepEqual([...TEXT].flatMap((c) => parser.push(c)), EVENTS);
});

test('a_refusal_is_a_sentence', async () => {
  const problem = (status, body) => Problem.from(new Response(body, { status }));
  assert.equal((await problem(403, '{"detail":"this key may only monitor"}')).message, 'This key may only monitor.');
  assert.equal((await problem(429, '{"title":"Too Many Requests"}')).message, 'Too many requests. Wait a moment and try again.');
  assert.equal((await problem(502, '<html>')).message, 'The server answered 502.');
  assert.equal((await problem(502, '')).temporary, true);
  assert.equal((await problem(404, '')).temporary, false);
});

/** A stream against a scripted fetch: `served` answers each request, `seen` is what the page is told. */
function open(served) {
  const listeners = {};
  const seen = [];
  const requests = [];
  Object.assign(globalThis, { addEventListener: (name, f) => { listeners[name] = f; }, removeEventListener: (name) => { delete listeners[name]; } });
  mock.method(globalThis, 'fetch', async (url, { headers, signal }) => {
    requests.push({ url, headers });
    return served(requests.length, signal);
  });
  const stream = new Api({ key: 'aside_k' }).stream('/rooms/a/live', { event: (name, data) => seen.push([name, data]), state: (name, problem) => seen.push([name, problem?.status]) });
  return { stream, seen, requests, listeners };
}

/** A body that stays open until it is aborted. */
function body(text, signal) {
  return new Response(new ReadableStream({
    start(control) {
      control.enqueue(new TextEncoder().encode(text));
      signal.addEventListener('abort', () => control.error(new Error('aborted')));
    },
  }));
}

const settled = () => new Promise((done) => setImmediate(() => setImmediate(done)));

test('a_stream_without_a_ping_for_5_s_is_old_and_opened_again_and_the_key_stays_out_of_the_address', async () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  const { stream, seen, requests } = open((_, signal) => body('event: room\ndata: {"n":1}\n\nevent: ping\ndata:\n\n', signal));
  await settled();
  assert.deepEqual(seen, [['connecting', undefined], ['open', undefined], ['room', { n: 1 }]]);
  assert.deepEqual([requests[0].url, requests[0].headers.authorization], ['/api/v1/rooms/a/live', 'Bearer aside_k']);
  mock.timers.tick(4_999);
  await settled();
  assert.deepEqual(seen.at(-1), ['room', { n: 1 }]);
  mock.timers.tick(1);
  await settled();
  assert.deepEqual(seen.at(-1), ['waiting', 0]);
  mock.timers.tick(500);
  await settled();
  assert.equal(requests.length, 2);
  assert.deepEqual(seen.at(-1), ['room', { n: 1 }]);
  stream.close();
  await settled();
  mock.timers.tick(100_000);
  assert.equal(requests.length, 2);
  mock.timers.reset();
  mock.restoreAll();
});

test('a_refused_stream_is_closed_for_good_and_a_busy_server_is_asked_again', async () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  const { seen, requests, listeners } = open((nth) => new Response('{}', { status: nth === 1 ? 503 : 403 }));
  await settled();
  assert.deepEqual(seen.at(-1), ['waiting', 503]);
  listeners.online();
  await settled();
  assert.equal(requests.length, 2, 'at once when the network is back');
  assert.deepEqual(seen.at(-1), ['closed', 403]);
  assert.deepEqual(listeners, {});
  mock.timers.tick(100_000);
  assert.equal(requests.length, 2);
  mock.timers.reset();
  mock.restoreAll();
});

test('a_browser_that_is_offline_is_told_at_once_and_silence_before_the_first_answer_has_more_time', async () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  const { stream, seen, requests, listeners } = open((nth, signal) => (nth === 1 ? body('event: room\ndata: {"n":1}\n\n', signal)
    : new Promise((_, refuse) => signal.addEventListener('abort', () => refuse(new Error('aborted'))))));
  await settled();
  listeners.offline();
  await settled();
  assert.deepEqual(seen.at(-1), ['waiting', 0]);
  mock.timers.tick(500);
  await settled();
  assert.equal(requests.length, 2);
  mock.timers.tick(14_999);
  await settled();
  assert.deepEqual(seen.at(-1), ['connecting', undefined]);
  mock.timers.tick(1);
  await settled();
  assert.deepEqual(seen.at(-1), ['waiting', 0]);
  stream.close();
  mock.timers.reset();
  mock.restoreAll();
});
