// The agent's softphone: signs in as a SIP endpoint, calls and is called. Its password stays in this tab.
import { Api } from '../lib/api.js';
import { Call } from '../lib/call.js';
import { devicesBox, replacedBy } from '../lib/devices.js';
import { $, h, icon, replace, setText } from '../lib/dom.js';
import { Microphone } from '../lib/microphone.js';
import { callPanel, keypad, present } from '../lib/panel.js';
import { ringer } from '../lib/ring.js';
import { UserAgent } from '../lib/sip/agent.js';
import { invitation, question, redeem } from './invitation.js';
import { agentTools } from './tools.js';

const KEPT = 'aside.phone';
const BADGES = { registered: 'good', connecting: 'warn', failed: 'warn', refused: 'bad' };
const NAMES = { registered: 'Ready', connecting: 'Connecting', failed: 'Not registered', refused: 'Refused' };

const view = $('#view');
const microphone = new Microphone();
let [agent, api, iceServers, call, speaker, failing] = [null, null, [], null, '', false];
const devices = devicesBox(microphone, (id) => { speaker = id; call?.setSpeaker(id); }, () => call !== null);

function notice(text, kind = 'bad') {
  replace($('#notice'), text && h('p', { class: `notice ${kind}` }, icon(kind === 'good' ? 'check' : 'warning'), text));
}

function signIn() {
  const username = h('input', { name: 'username', autocomplete: 'username', autocapitalize: 'none', spellcheck: 'false', required: true, 'aria-describedby': 'domain' });
  const password = h('input', { name: 'password', type: 'password', autocomplete: 'current-password', required: true });
  const button = h('button', { class: 'button primary' }, 'Sign in');
  const submit = async (event) => {
    event.preventDefault();
    ringer.prime();
    notice('');
    button.disabled = true;
    await enter(username.value.trim(), password.value);
    button.disabled = false;
  };
  replace(view, h('form', { class: 'card stack', onsubmit: submit }, h('h2', { tabindex: '-1' }, 'Sign in'),
    h('p', { class: 'muted' }, 'With the user name and password of your SIP endpoint. They are kept in this tab only.'),
    h('label', { class: 'field' }, 'User name', username),
    h('p', { id: 'domain', class: 'muted small' }, 'With its domain, such as anna@calls.example, where your company has one of its own.'), h('label', { class: 'field' }, 'Password', password), button));
}

async function enter(username, password) {
  try {
    const answer = await new Api().post('/phone/ice', { username, password });
    iceServers = answer.ice_servers;
    api = new Api({ basic: { username, password } });
    agent = new UserAgent({ websocket: answer.websocket, realm: answer.realm, username: username.split('@')[0], password });
  } catch (problem) {
    if (!problem.temporary) sessionStorage.removeItem(KEPT);
    return notice(problem.message);
  }
  sessionStorage.setItem(KEPT, JSON.stringify({ username, password }));
  agent.addEventListener('registration', ({ target, detail }) => target === agent && registered(detail));
  agent.addEventListener('session', ({ detail }) => called(detail.session));
  agent.register().start();
  registered(agent.registration);
  $('#sign-out').hidden = false;
  ready();
}

function registered({ state, text }) {
  const badge = $('#registration');
  badge.hidden = state === 'off';
  badge.className = `badge ${BADGES[state]}`;
  badge.title = text;
  setText(badge, NAMES[state]);
  if (state === 'refused') {
    leave();
    notice(text);
  } else if (!call && (state === 'failed' || failing)) {
    notice(state === 'failed' ? text : '');
  }
  failing = state === 'failed';
}

function leave() {
  call?.hangUp();
  agent?.stop();
  [agent, api] = [null, null];
  sessionStorage.removeItem(KEPT);
  $('#sign-out').hidden = $('#registration').hidden = true;
  signIn();
}

function ready() {
  const target = h('input', { id: 'target', autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false', required: true });
  const dial = (event) => {
    event.preventDefault();
    ringer.prime();
    const number = target.value.trim();
    if (number) show(Call.place(agent, number, { microphone, iceServers }), number);
  };
  const press = (digit) => target.setRangeText(digit, target.selectionStart, target.selectionEnd, 'end');
  const form = h('form', { class: 'card stack', onsubmit: dial }, h('h2', { tabindex: '-1' }, 'Make a call'),
    h('div', { class: 'dial' }, h('label', { class: 'field' }, 'Number or user name', target), h('button', { class: 'button good' }, icon('phone'), 'Call')),
    keypad(press));
  replace(view, form, devices);
}

function called(session) {
  if (call) return session.reject(486, 'Busy here');
  const incoming = Call.incoming(agent, session, { microphone, iceServers });
  show(incoming, incoming.remote.name || incoming.remote.user || 'Unknown caller');
}

function show(next, name) {
  call = next;
  notice('');
  if (speaker) call.setSpeaker(speaker);
  const tools = () => agentTools(next, api, notice);
  const panel = callPanel(call, microphone, { name, tools, ended });
  if (call) present(view, panel, devices);
}

function ended({ reason, text }, time) {
  call = null;
  const well = ['hung_up', 'far_end', 'cancelled'].includes(reason);
  if (agent) ready();
  else if (invitation()) invited();
  else replace(view, h('section', { class: 'card empty' }, h('h2', { tabindex: '-1' }, 'The call has ended'), h('p', {}, 'You can close this page.')));
  notice(time ? `${text} It lasted ${time}.` : text, well ? 'good' : 'bad');
  $('h2', view).focus();
}

function invited() {
  const given = invitation();
  present(view, question(given, () => {
    ringer.prime();
    show(redeem(given, microphone), 'The call');
  }));
}

microphone.addEventListener('replaced', ({ from }) => call && notice(replacedBy(from, microphone.label), 'warn'));
$('#sign-out').addEventListener('click', leave);
addEventListener('beforeunload', (event) => { if (call && call.state !== 'incoming') event.preventDefault(); });
addEventListener('pointerdown', () => ringer.prime(), { once: true });
addEventListener('hashchange', () => invitation() && !call && invited());

const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? 'null');
if (invitation()) invited();
else {
  signIn();
  if (kept) enter(kept.username, kept.password);
}
