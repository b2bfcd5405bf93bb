// The softphone's signalling against a scripted server behind a fake WebSocket.  node --test tests/console/
import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';

import { Message, parse } from '../../console/lib/sip/message.js';

const SDP = 'v=0\r\n';
let sockets = [];

/** Stands in for the browser's: what the page sends is queued, what the server says is delivered at once. */
class FakeWebSocket {
  static OPEN = 1;
  readyState = 0;
  sent = [];
  #waiting = [];

  constructor(url, protocol) {
    Object.assign(this, { url: String(url), protocol });
    sockets.push(this);
    queueMicrotask(() => { this.readyState = 1; this.onopen?.(); });
  }

  send(text) {
    const message = text.trim() ? parse(text) : text;
    const next = this.#waiting.shift();
    if (next) next(message);
    else this.sent.push(message);
  }

  close() { this.readyState = 3; }

  /** The next message of the page. */
  next() {
    return this.sent.length ? Promise.resolve(this.sent.shift()) : new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Skips to the next of this method, or status and method. */
  async find(what) {
    for (;;) {
      const message = await this.next();
      if (message.method === what || `${message.status} ${message.cseq?.method}` === what) return message;
    }
  }

  say(message) { this.onmessage?.({ data: String(message) }); }

  reply(request, status, headers = [], body = '') {
    const echo = request.headers.filter(([name]) => ['via', 'from', 'to', 'call-id', 'cseq'].includes(name)).map((header) => [...header]);
    const to = echo.find(([name]) => name === 'to');
    if (status > 100 && !request.to.params.tag) to[1] += ';tag=far';
    this.say(Object.assign(new Message(), { status, reason: 'Said', headers: [...echo, ...headers], body }));
  }
}

const store = new Map();
Object.assign(globalThis, {
  WebSocket: FakeWebSocket, location: { href: 'https://calls.example/phone' },
  addEventListener() {}, removeEventListener() {},
  sessionStorage: { getItem: (key) => store.get(key) ?? null, setItem: (key, value) => store.set(key, value) },
});
const { UserAgent } = await import('../../console/lib/sip/agent.js');

let agent;
beforeEach(() => {
  mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  sockets = [];
  agent = new UserAgent({ websocket: '/sip', username: 'anna', password: 'secret', realm: 'calls.example' });
});
afterEach(() => mock.timers.reset());

const contact = [['contact', '<sip:server.example;transport=ws>']];
const turns = async (count = 20) => { for (let i = 0; i < count; i++) await Promise.resolve(); };

async function connected() {
  agent.start();
  await agent.ready();
  return sockets[0];
}

async function live(extra = []) {
  const server = await connected();
  const session = agent.session('bob');
  const answer = session.invite(SDP);
  const invite = await server.find('INVITE');
  server.reply(invite, 200, [...contact, ...extra], SDP);
  assert.equal(await answer, SDP);
  await server.find('ACK');
  return { server, session, invite };
}

function from(invite, method, number, headers = [], body = '') {
  return Message.request(method, invite.contact.uri, [
    ['via', `SIP/2.0/WSS s;branch=z9hG4bK${method}${number}`], ['from', `${invite.get('to')};tag=far`], ['to', invite.get('from')],
    ['call-id', invite.get('call-id')], ['cseq', `${number} ${method}`], ...contact, ...headers], body);
}

const incoming = (number = 1, headers = []) => Message.request('INVITE', 'sip:anna@x.invalid', [
  ['via', `SIP/2.0/WSS s;branch=z9hG4bKin${number}`], ['from', '"Bob" <sip:bob@calls.example>;tag=bobs'], ['to', '<sip:anna@calls.example>'],
  ['call-id', `in-${number}`], ['cseq', '1 INVITE'], ['x-calluuid', 'uuid-1'], ...contact, ...headers], SDP);

test('the_socket_is_wss_on_the_pages_own_host_with_subprotocol_sip', async () => {
  const server = await connected();
  assert.deepEqual([server.url, server.protocol], ['wss://calls.example/sip', 'sip']);
});

test('a_registration_answers_the_challenge_and_is_refreshed_before_it_expires', async () => {
  const server = await connected();
  agent.register(600);
  const first = await server.find('REGISTER');
  server.reply(first, 401, [['www-authenticate', 'Digest realm="calls.example", nonce="n", algorithm=SHA-256, qop="auth"']]);
  const second = await server.find('REGISTER');
  assert.match(second.get('authorization'), /username="anna".*algorithm=SHA-256.*nc=00000001/);
  assert.equal(second.get('call-id'), first.get('call-id'));
  assert.equal(second.cseq.number, first.cseq.number + 1);
  server.reply(second, 200, [['contact', `${second.get('contact').replace(/expires=\d+/, 'expires=100')}`]]);
  await turns();
  assert.equal(agent.registration.state, 'registered');
  mock.timers.tick(80_000);
  const refresh = await server.find('REGISTER');
  assert.match(refresh.get('authorization'), /nc=00000002/, 'signed at once with the nonce at hand');
});

test('a_wrong_password_is_told_and_not_repeated', async () => {
  const server = await connected();
  agent.register();
  for (const nonce of ['a', 'b']) server.reply(await server.find('REGISTER'), 401, [['www-authenticate', `Digest realm="r", nonce="${nonce}"`]]);
  await turns();
  assert.equal(agent.registration.state, 'refused');
  mock.timers.tick(600_000);
  await turns();
  assert.ok(!server.sent.some((message) => message.method === 'REGISTER'));
});

test('after_a_lost_connection_the_same_instance_registers_again_and_the_dialog_lives', async () => {
  agent.register();
  const { server, session, invite } = await live();
  const before = server.sent.concat().find((message) => message.method === 'REGISTER');
  server.onclose();
  assert.equal(agent.connected, false);
  mock.timers.tick(1_000);
  const again = sockets[1];
  const register = await again.find('REGISTER');
  assert.match(register.contact.params['+sip.instance'], /^<urn:uuid:[0-9a-f-]{36}>$/);
  if (before) assert.equal(register.contact.params['+sip.instance'], before.contact.params['+sip.instance']);
  const offered = session.reoffer(() => 'v=1\r\n');
  const reinvite = await again.find('INVITE');
  assert.equal(reinvite.get('call-id'), invite.get('call-id'));
  assert.equal(reinvite.to.params.tag, 'far');
  again.reply(reinvite, 200, contact, 'v=2\r\n');
  assert.equal(await offered, 'v=2\r\n');
  assert.equal((await again.find('ACK')).cseq.number, reinvite.cseq.number);
});

test('cancel_waits_for_a_provisional_response_and_an_answer_that_crosses_it_is_hung_up', async () => {
  const server = await connected();
  const session = agent.session('bob');
  const answer = session.invite(SDP);
  const invite = await server.find('INVITE');
  session.end();
  await turns();
  assert.deepEqual(server.sent, []);
  server.reply(invite, 180, contact);
  const cancel = await server.find('CANCEL');
  assert.equal(cancel.branch, invite.branch);
  assert.equal(cancel.list('via').length, 1);
  server.reply(invite, 200, contact, SDP);
  assert.equal(await answer, null);
  await server.find('ACK');
  await server.find('BYE');
});

test('a_challenge_after_giving_up_is_not_answered', async () => {
  const server = await connected();
  const session = agent.session('bob');
  const answer = session.invite(SDP);
  const invite = await server.find('INVITE');
  session.end();
  server.reply(invite, 401, [['www-authenticate', 'Digest realm="r", nonce="n"']]);
  assert.equal(await answer, null);
  assert.equal((await server.next()).method, 'ACK');
  await turns();
  assert.deepEqual(server.sent, []);
});

test('a_refused_call_is_acknowledged_on_its_own_branch', async () => {
  const server = await connected();
  const session = agent.session('+49 30 1');
  let how;
  session.on.ended = (given) => { how = given; };
  const answer = session.invite(SDP);
  const invite = await server.find('INVITE');
  assert.equal(invite.uri, 'sip:+49%2030%201@calls.example');
  server.reply(invite, 486, [['reason', 'SIP;cause=486;text="In a meeting"']]);
  const ack = await server.find('ACK');
  assert.equal(ack.branch, invite.branch);
  assert.equal(ack.to.params.tag, 'far');
  assert.equal(await answer, null);
  assert.deepEqual([how.status, how.reason], [486, 'In a meeting']);
});

test('an_answer_that_comes_again_is_acknowledged_again', async () => {
  const { server, invite } = await live();
  server.reply(invite, 200, contact, SDP);
  assert.equal((await server.find('ACK')).cseq.number, invite.cseq.number);
});

test('our_answer_is_repeated_until_it_is_acknowledged', async () => {
  const server = await connected();
  let session;
  agent.addEventListener('session', ({ detail }) => { session = detail.session; });
  const invite = incoming();
  server.say(invite);
  assert.equal((await server.find('180 INVITE')).get('call-id'), 'in-1');
  assert.deepEqual([session.dialog.peer.name, session.uuid, session.offer], ['Bob', 'uuid-1', SDP]);
  const acknowledged = session.accept(SDP);
  const ok = await server.find('200 INVITE');
  mock.timers.tick(500);
  await turns();
  assert.equal((await server.find('200 INVITE')).to.params.tag, ok.to.params.tag);
  server.say(Message.request('ACK', 'sip:x', [['via', 'SIP/2.0/WSS s;branch=z9hG4bKack'], ['from', invite.get('from')], ['to', ok.get('to')], ['call-id', 'in-1'], ['cseq', '1 ACK']]));
  await acknowledged;
  mock.timers.tick(10_000);
  await turns();
  assert.deepEqual(server.sent, []);
});

test('a_caller_who_gives_up_gets_487_and_why_is_told', async () => {
  const server = await connected();
  let how;
  agent.addEventListener('session', ({ detail }) => { detail.session.on.ended = (given) => { how = given; }; });
  server.say(incoming());
  const cancel = Message.request('CANCEL', 'sip:anna@x.invalid', [...incoming().headers.filter(([name]) => !['cseq', 'contact'].includes(name)), ['cseq', '1 CANCEL'], ['reason', 'SIP;cause=200;text="Call completed elsewhere"']]);
  server.say(cancel);
  await server.find('200 CANCEL');
  await server.find('487 INVITE');
  assert.deepEqual([how.by, how.reason], ['far', 'Call completed elsewhere']);
});

test('an_offer_that_crosses_ours_gets_491_and_ours_is_tried_again_after_theirs', async () => {
  const { server, session, invite } = await live();
  session.on.offered = async () => 'v=answer\r\n';
  let made = 0;
  const offered = session.reoffer(() => `v=${++made}\r\n`);
  const ours = await server.find('INVITE');
  server.say(from(invite, 'INVITE', 5, [], 'v=theirs\r\n'));
  await server.find('491 INVITE');
  server.reply(ours, 491);
  await turns();
  server.say(from(invite, 'INVITE', 6, [], 'v=theirs\r\n'));
  assert.equal((await server.find('200 INVITE')).body, 'v=answer\r\n');
  server.say(from(invite, 'ACK', 6));
  await turns();
  mock.timers.tick(4_100);
  await turns();
  mock.timers.tick(60);
  const again = await server.find('INVITE');
  assert.equal(again.body, 'v=2\r\n');
  server.reply(again, 200, contact, SDP);
  assert.equal(await offered, SDP);
});

test('an_offer_of_theirs_while_ours_is_being_made_does_not_lock_both', async () => {
  const { server, session, invite } = await live();
  let make;
  const offered = session.reoffer(() => new Promise((resolve) => { make = resolve; }));
  await turns();
  server.say(from(invite, 'INVITE', 5, [], 'v=theirs\r\n'));
  await server.find('491 INVITE');
  make('v=ours\r\n');
  server.reply(await server.find('INVITE'), 200, contact, SDP);
  assert.equal(await offered, SDP);
});

test('a_connection_that_breaks_before_the_ack_does_not_block_the_next_offer', async () => {
  const { server, session, invite } = await live();
  session.on.offered = async () => 'v=answer\r\n';
  server.say(from(invite, 'INVITE', 5, [], 'v=theirs\r\n'));
  await server.find('200 INVITE');
  server.onclose();
  await turns();
  mock.timers.tick(1_000);
  await agent.ready();
  const offered = session.reoffer(() => SDP);
  await turns();
  server.onmessage = null;
  const again = sockets[1];
  again.reply(await again.find('INVITE'), 200, contact, SDP);
  assert.equal(await offered, SDP);
});

test('a_session_timer_that_is_ours_is_refreshed_at_half_time', async () => {
  const { server } = await live([['session-expires', '90;refresher=uac'], ['allow', 'INVITE, ACK, BYE, UPDATE']]);
  mock.timers.tick(45_000);
  const update = await server.find('UPDATE');
  assert.equal(update.get('session-expires'), '90;refresher=uac');
  assert.equal(update.body, '');
  server.reply(update, 200, [...contact, ['session-expires', '90;refresher=uac']]);
  await turns();
  mock.timers.tick(45_000);
  await server.find('UPDATE');
});

test('a_session_timer_that_is_theirs_ends_the_call_when_they_are_gone', async () => {
  const { server, session, invite } = await live([['session-expires', '90;refresher=uas']]);
  mock.timers.tick(60_000);
  server.say(from(invite, 'UPDATE', 7, [['session-expires', '90;refresher=uac']]));
  const answer = await server.find('200 UPDATE');
  assert.deepEqual([answer.get('session-expires'), answer.get('require')], ['90;refresher=uac', 'timer']);
  mock.timers.tick(89_000);
  assert.equal(session.state, 'live');
  mock.timers.tick(1_500);
  await server.find('BYE');
  assert.equal(session.state, 'over');
});

test('requests_that_are_out_of_order_unknown_or_of_no_call_are_refused', async () => {
  const { server, session, invite } = await live();
  server.say(from(invite, 'INFO', 5));
  await server.find('200 INFO');
  server.say(from(invite, 'INFO', 4));
  await server.find('500 INFO');
  server.say(from(invite, 'PRACK', 6));
  await server.find('405 PRACK');
  server.say(Object.assign(from(invite, 'BYE', 7), {}).set('call-id', 'another'));
  await server.find('481 BYE');
  assert.equal(session.state, 'live');
  server.say(incoming(9, [['require', '100rel']]));
  assert.equal((await server.find('420 INVITE')).get('unsupported'), '100rel');
  server.say(from(invite, 'BYE', 8));
  await server.find('200 BYE');
  assert.equal(session.state, 'over');
});

test('a_flood_of_calls_is_bounded_and_rubbish_is_passed_over', async () => {
  const server = await connected();
  const warn = mock.method(console, 'warn', () => {});
  for (let i = 0; i < 9; i++) server.say(incoming(i));
  server.say('rubbish');
  assert.equal((await server.find('486 INVITE')).get('call-id'), 'in-8');
  assert.equal(warn.mock.callCount(), 1);
  warn.mock.restore();
});

test('a_silent_connection_is_noticed_by_its_missing_pong', async () => {
  const server = await connected();
  server.say('\r\n');
  mock.timers.tick(25_000);
  assert.equal(await server.next(), '\r\n\r\n');
  mock.timers.tick(10_000);
  assert.equal(agent.connected, false);
  mock.timers.tick(1_000);
  await turns();
  assert.equal(sockets.length, 2);
});

test('signing_out_takes_the_binding_back', async () => {
  const server = await connected();
  agent.register();
  server.reply(await server.find('REGISTER'), 200);
  await turns();
  const stopped = agent.stop();
  const last = await server.find('REGISTER');
  assert.equal(last.contact.params.expires, '0');
  server.reply(last, 200);
  await stopped;
  assert.equal(server.readyState, 3);
});
