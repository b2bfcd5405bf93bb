// Letting another person in: a link that opens a phone in a new tab, for one use.
import { h, icon, replace, timeOfDay } from '/console/lib/dom.js';
import { refusal } from './permissions.js';

export function invite({ api, path, key }) {
  const lacking = refusal(key, 'invite');
  const label = h('input', { maxlength: '64', autocomplete: 'off', placeholder: 'optional' });
  const answer = h('div', { class: 'small', 'aria-live': 'polite' });

  const press = async (role) => {
    if (lacking) return;
    replace(answer, 'Asking for a link…');
    try {
      const name = label.value.trim();
      const link = await api.post(`${path}/invite`, { role, ...(name && { label: name }) });
      const url = new URL(link.path, location.href);
      if (url.origin !== location.origin) throw new Error('The server gave a link to another place. It was not opened.');
      open(url, '_blank', 'noopener');
      replace(answer, 'If no tab has opened: ', h('a', { href: url.href, target: '_blank', rel: 'noopener' }, `the ${role}’s phone`), `, once, until ${timeOfDay(link.expires_at)}.`);
    } catch (problem) {
      replace(answer, h('p', { class: 'fault' }, problem.message));
    }
  };
  const button = (role, sign) => h('button', { class: 'button small', 'aria-disabled': lacking && 'true', onclick: () => press(role) }, icon(sign), `Be the ${role}`);
  return h('section', { class: 'card stack' }, h('h2', {}, 'Invite'),
    h('p', { class: 'muted small' }, lacking ?? 'Opens a phone in a new tab. The link works once, within ten minutes: use it yourself or pass it on.'),
    h('label', { class: 'field' }, 'Name shown', label), h('div', { class: 'row wrap' }, button('customer', 'person'), button('agent', 'headset')), answer);
}
