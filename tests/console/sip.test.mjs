// The softphone's SIP texts: hashes, digest, messages.  node --test tests/console/
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';

import { answer, challenges, Credentials } from '../../console/lib/sip/digest.js';
import { md5, sha256 } from '../../console/lib/sip/hash.js';
import { address, Message, parse, split, SyntaxFault } from '../../console/lib/sip/message.js';

const response = (lines) => parse(`SIP/2.0 401 Unauthorized\r\nVia: SIP/2.0/WS x;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 REGISTER\r\n${lines}\r\n\r\n`);

test('hashes_agree_with_the_reference_at_every_length_around_a_block', () => {
  for (let length = 0; length < 200; length++) {
    const text = 'é'.repeat(length % 7) + 'a'.repeat(length);
    assert.equal(md5(text), createHash('md5').update(text).digest('hex'), `md5 of ${length}`);
    assert.equal(sha256(text), createHash('sha256').update(text).digest('hex'), `sha256 of ${length}`);
  }
});

test('the_examples_of_rfc_2617_and_rfc_7616_come_out', () => {
  const mufasa = { username: 'Mufasa', password: 'Circle Of Life' };
  const old = { realm: 'testrealm@host.com', nonce: 'dcd98b7102dd2f0e8b11d0f600bfb0c093', qop: 'auth', algorithm: 'MD5' };
  assert.match(answer(old, mufasa, 'GET', '/dir/index.html', 1, '0a4f113b'), /response="6629fae49393a05397450978507c4ef1"/);
  const life = { username: 'Mufasa', password: 'Circle of Life' };
  const now = { realm: 'http-auth@example.org', nonce: '7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v', qop: 'auth', algorithm: 'SHA-256' };
  const cnonce = 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ';
  assert.match(answer(now, life, 'GET', '/dir/index.html', 1, cnonce), /response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"/);
  assert.match(answer({ ...now, algorithm: 'MD5' }, life, 'GET', '/dir/index.html', 1, cnonce), /response="8ca523f5e9506fed4657c9700eebdbec"/);
});

test('the_strongest_challenge_is_taken_and_unknown_ones_are_passed_over', () => {
  const found = challenges(response([
    'WWW-Authenticate: Bearer realm="x"', 'WWW-Authenticate: Digest realm="r", nonce="n1", algorithm=MD5, qop="auth"',
    'WWW-Authenticate: Digest realm="r, with a comma", nonce="n2", algorithm=SHA-256, qop="auth,auth-int"',
    'WWW-Authenticate: Digest realm="r", nonce="n3", algorithm=SHA-512-256', 'WWW-Authenticate: Digest realm="r", nonce="n4", qop="auth-int"',
  ].join('\r\n')));
  assert.deepEqual(found.map((c) => c.nonce), ['n2', 'n1']);
  assert.equal(found[0].realm, 'r, with a comma');
});

test('a_wrong_password_is_not_tried_for_ever', () => {
  const credentials = new Credentials('a', 'b');
  const challenge = (nonce, more = '') => response(`WWW-Authenticate: Digest realm="r", nonce="${nonce}"${more}`);
  assert.equal(credentials.take(challenge('1'), 0), true);
  assert.equal(credentials.take(challenge('2'), 1), false, 'another nonce is not another try');
  assert.equal(credentials.take(challenge('3', ', stale=true'), 1), true, 'a stale nonce is not a refusal');
  assert.equal(credentials.take(challenge('4', ', stale=true'), 2), false, 'nor is it one for ever');
});

test('a_message_is_read_with_compact_names_folded_lines_and_odd_spaces', () => {
  const message = parse('INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0\r\nTO :\r\n sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n\r\n'
    + 'f   : "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8\r\nMaX-fOrWaRdS: 0068\r\nCall-ID: wsinv.ndaksdj@192.0.2.1\r\n'
    + 'cseq: 0009\r\n  INVITE\r\nv: SIP / 2.0 / TCP  spindle.example.com ; branch = z9hG4bK9ikj8 , SIP/2.0/UDP 192.168.255.111 ; branch=z9hG4bK30239\r\n'
    + 'l: 4\r\n\r\nv=0\nmore than was said');
  assert.equal(message.method, 'INVITE');
  assert.equal(message.to.params.tag, '1918181833n');
  assert.equal(message.from.name, 'J Rosenberg \\"');
  assert.deepEqual(message.cseq, { number: 9, method: 'INVITE' });
  assert.equal(message.branch, 'z9hG4bK9ikj8');
  assert.equal(message.list('via').length, 2);
  assert.equal(message.body, 'v=0\n');
});

test('broken_messages_are_refused_with_a_reason_and_never_hang', () => {
  const whole = 'OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/WS x;branch=1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n';
  parse(whole);
  for (const broken of [
    '', '\r\n\r\n', 'hello', whole.replace('SIP/2.0\r', 'SIP/7.0\r'), whole.replace('Call-ID: 1\r\n', ''), whole.replace('1 OPTIONS', '1 INVITE'),
    whole.replace('CSeq: 1', 'CSeq: 99999999999'), whole.replace('Length: 0', 'Length: 9'), whole.replace('Length: 0', 'Length: -1'), whole.replace('To: ', 'To '),
    whole + 'x'.repeat(70_000), 'SIP/2.0 999 No\r\n\r\n',
  ]) assert.throws(() => parse(broken), SyntaxFault, JSON.stringify(broken.slice(0, 60)));
  for (let cut = 0; cut < whole.length; cut++) {
    try { parse(whole.slice(0, cut)); assert.fail(`cut at ${cut}`); } catch (error) { assert.ok(error instanceof SyntaxFault); }
  }
  split('"'.repeat(10_000) + '<'.repeat(10_000), ',');
});

test('a_value_cannot_add_a_header', () => {
  const text = Message.request('INVITE', 'sip:a@b', [['subject', 'x\r\nEvil: yes\r\n\r\nbody']]).toString();
  assert.ok(!/^Evil/m.test(text));
});

test('lengths_count_bytes', () => {
  assert.match(Message.request('MESSAGE', 'sip:a@b', [], 'é').toString(), /Content-Length: 2\r\n/);
});

test('addresses_keep_parameters_where_they_belong', () => {
  const bare = address('sip:a%20b@h;tag=1');
  assert.deepEqual([bare.uri, bare.user, bare.params.tag], ['sip:a%20b@h', 'a b', '1']);
  const full = address('"A, B;C" <sip:a@h;transport=ws;ob>;expires=60;+sip.instance="<urn:uuid:1>"');
  assert.deepEqual([full.name, full.uri, full.params.expires, full.params['+sip.instance']], ['A, B;C', 'sip:a@h;transport=ws;ob', '60', '<urn:uuid:1>']);
  assert.equal(address('<tel:+4912;phone-context=x>').user, '+4912');
  assert.equal(address('<sip:%zz@h>').user, '%zz');
});
