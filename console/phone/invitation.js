// An invitation, `#i=TOKEN&as=agent&label=Anna`: a link alone opens no microphone and takes no place in the call; the button does.
import { Api } from '../lib/api.js';
import { Call } from '../lib/call.js';
import { h, icon } from '../lib/dom.js';

const ROLES = { agent: 'the agent', customer: 'the customer', supervisor: 'a supervisor' };

/** What the address invites to, or null. */
export function invitation() {
  const given = new URLSearchParams(location.hash.slice(1));
  const token = given.get('i');
  return token && { token, role: ROLES[given.get('as')] ?? 'a guest', label: (given.get('label') ?? '').slice(0, 80) };
}

export function question({ role, label }, accept) {
  return h('section', { class: 'card stack' }, h('h2', { tabindex: '-1' }, `Join as ${label ? `${label}, ${role}` : role}?`),
    h('p', { class: 'muted' }, 'You were invited to a call that goes on now. Once you join, the others can hear you. The browser will ask for your microphone.'),
    h('button', { class: 'button good big', onclick: accept }, icon('phone'), 'Join the call'));
}

export function redeem({ token }, microphone) {
  return Call.join(async () => {
    const answer = await new Api().post('/invitations/redeem', { token });
    history.replaceState(null, '', location.pathname); // used up
    return answer;
  }, { microphone });
}
