// Click to call: one button, one call. The link in the address is the permission.
import { Api } from '../lib/api.js';
import { Call } from '../lib/call.js';
import { $, h, icon, replace, say } from '../lib/dom.js';
import { Microphone } from '../lib/microphone.js';
import { callPanel, present } from '../lib/panel.js';
import { ringer } from '../lib/ring.js';

const view = $('#view');
const token = location.pathname.split('/').filter(Boolean).at(-1);

function start(notice, label = 'Call now') {
  const button = h('button', { class: 'button good big', onclick: begin }, icon('phone'), label);
  replace(view, h('section', { class: 'card start' }, notice, button,
    h('p', { class: 'muted' }, 'You talk through this browser. It will ask for your microphone; nobody hears you before the call is answered.')));
  if (notice) button.focus();
}

function begin() {
  ringer.prime();
  const microphone = new Microphone();
  const call = Call.join(() => new Api().post('/links/redeem', { token }), { microphone });
  present(view, callPanel(call, microphone, { name: 'Your call', ended }));
}

function ended({ reason, text }, time) {
  const well = ['hung_up', 'far_end'].includes(reason);
  const words = time ? `${text} It lasted ${time}.` : text;
  say(words);
  start(h('p', { class: `notice ${well ? 'good' : 'bad'}` }, icon(well ? 'check' : 'warning'), words),
    well ? 'Call again' : 'Try again');
}

start(null);
