import assert from 'node:assert/strict';
import { test } from 'node:test';
import { customerHeardSupervisor, whoHearsMe, whomIHear } from '../../console/app/sentence.js';
import { agent, customer, me, other, room } from './rooms.mjs';

const TALK = [[1, [2]], [2, [1]], [3, [1, 2]]];
const WHISPER = [[1, [2]], [2, [1, 3]], [3, [1, 2]]];
const BARGE = [[1, [2, 3]], [2, [1, 3]], [3, [1, 2]]];
const here = { fresh: true, microphoneOff: false, calling: true };
const said = (members, hears, more = {}, state = {}) => whoHearsMe(room(members, hears, state), { ...here, ...more });

test('who listens is heard by nobody', () => {
  const { tone, headline, detail } = said([customer(), agent(), me('monitor')], TALK);
  assert.deepEqual([tone, headline], ['nobody', 'Nobody hears you']);
  assert.match(detail, /listening/);
});

test('a whisper says who hears it and that the customer does not', () => {
  assert.deepEqual(said([customer(), agent(), me('whisper')], WHISPER),
    { tone: 'aside', headline: 'Only the agent hears you', detail: 'The customer does not hear you.' });
});

test('whoever is heard by the customer is told so first', () => {
  assert.deepEqual(said([customer(), agent(), me('barge')], BARGE),
    { tone: 'public', headline: 'The customer hears you', detail: 'Ben hears you too.' });
});

test('a whisper that reaches a customer all the same is shown as heard by the customer', () => {
  assert.equal(said([customer(), agent(), me('whisper')], BARGE).tone, 'public');
});

test('a takeover names whom it set aside and how they come back', () => {
  const members = [customer(), agent({ held: true, taken_over: true }), me('takeover')];
  const { tone, headline, detail } = said(members, [[1, [3]], [3, [1]]]);
  assert.deepEqual([tone, headline], ['public', 'The customer hears you']);
  assert.equal(detail, 'Set aside, with no path to or from anybody: Ben. “Give back” brings them back.');
});

test('a whisper without agents is heard by nobody, and who joins hears it', () => {
  const { tone, headline, detail } = said([customer(), me('whisper')], [[3, [1]]]);
  assert.deepEqual([tone, headline], ['nobody', 'Nobody hears you']);
  assert.match(detail, /no agent is in the room\. An agent who joins hears you from the first moment/);
});

test('a whisper to an agent on hold is heard by nobody', () => {
  assert.match(said([customer(), agent({ held: true }), me('whisper')], [[3, [1]]]).detail, /whispering, and Ben cannot hear now/);
});

test('muted means nobody, in the room and in the browser', () => {
  const muted = 'Nobody hears you: you are muted';
  assert.equal(said([customer(), agent(), me('whisper', { muted: true })], TALK).headline, muted);
  const local = said([customer(), agent(), me('barge')], BARGE, { microphoneOff: true });
  assert.deepEqual([local.tone, local.headline], ['nobody', muted]);
  assert.match(local.detail, /off in this browser\. Unmuted, you are heard by Carla and Ben/);
});

test('without a fresh stream the page never claims to know who hears', () => {
  for (const microphoneOff of [false, true]) {
    const { tone, headline } = said([customer(), agent(), me('whisper')], WHISPER, { fresh: false, microphoneOff });
    assert.deepEqual([tone, headline], ['unknown', 'Who hears you is not known']);
  }
  assert.match(said([], [], { fresh: false }).detail, /speak as if the customer heard you, or mute/);
});

test('a call that the server does not show yet is neither in nor out', () => {
  assert.equal(said([customer(), agent()], TALK).tone, 'unknown');
  assert.equal(said([customer(), agent()], TALK, { calling: false }).tone, 'out');
});

test('speaking to everyone is public though no customer hears it now', () => {
  const held = said([customer({ held: true }), agent(), me('barge')], [[2, [3]], [3, [2]]]);
  assert.deepEqual([held.tone, held.headline], ['public', 'Only the agent hears you']);
  assert.match(held.detail, /not hear you now \(on hold\), but will/);
  assert.match(said([agent(), me('barge')], [[2, [3]]]).detail, /A customer who joins hears you at once/);
  assert.match(said([me('barge')], []).detail, /Whoever joins hears you at once, a customer too/);
});

test('several of a kind are counted', () => {
  const agents = [agent(), agent({ id: 5, label: 'Bea' }), agent({ id: 6, label: 'Bo', held: true })];
  assert.equal(said([customer(), ...agents, me('whisper')], [[2, [3]], [5, [3]]]).headline, 'Only 2 of 3 agents hear you');
  assert.equal(said([customer(), ...agents.slice(0, 2), me('whisper')], [[2, [3]], [5, [3]]]).headline, 'Only the two agents hear you');
});

test('a member without a role is called by name, and the sentence claims no customer', () => {
  const { headline, detail } = said([other(4), agent(), me('whisper')], [[4, [3]]]);
  assert.equal(headline, 'Only Guest 4 hears you');
  assert.equal(detail, 'No customer is in the room.');
});

test('whom the supervisor hears is a sentence too', () => {
  assert.equal(whomIHear(room([customer(), agent(), me('monitor')], TALK)), 'You hear Carla and Ben.');
  assert.equal(whomIHear(room([me('monitor')], [])), 'You hear nobody.');
});

test('the ledger answers whether the customer could hear the supervisor', () => {
  const past = (members, ...hears) => ({ state: 'past', members, hears: members.map(({ id }, at) => [id, hears[at]]) });
  const roles = [{ id: 1, role: 'customer' }, { id: 2, role: 'agent' }, { id: 3, role: 'supervisor' }];
  assert.equal(customerHeardSupervisor(past(roles, [2], [1, 3], [1, 2])), 'The customer could not hear any supervisor.');
  assert.equal(customerHeardSupervisor(past(roles, [2, 3], [1, 3], [1, 2])), 'The customer could hear a supervisor.');
  assert.equal(customerHeardSupervisor(past([])), 'Nobody heard anybody.');
  assert.equal(customerHeardSupervisor(past(roles.slice(0, 2), [2], [1])), 'No supervisor was in the room.');
});

test('a tag stands for a role in the past too, and one that nobody knows any more is not called none', () => {
  const past = (tag) => ({ state: 'past', members: [{ id: 1, role: 'customer' }, { id: 3, role: null, tag }], hears: [[1, [3]], [3, [1]]] });
  assert.equal(customerHeardSupervisor(past('supervisor')), 'The customer could hear a supervisor.');
  assert.equal(customerHeardSupervisor(past(null)), 'No supervisor was in the room.');
  assert.equal(customerHeardSupervisor(past(undefined)), 'Nobody of the role supervisor was in the room.');
});

test('a microphone that is gone is heard by nobody, whatever the room permits', () => {
  const gone = said([customer(), agent(), me('barge')], BARGE, { microphoneLost: true });
  assert.deepEqual([gone.tone, gone.headline], ['nobody', 'Nobody hears you: your microphone is gone']);
  assert.match(said([customer(), agent(), me('monitor')], TALK, { microphoneLost: true }).detail, /listening.*Your microphone is gone/);
  assert.match(said([], [], { fresh: false, microphoneLost: true }).detail, /nothing leaves it/);
});
