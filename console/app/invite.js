// Letting another person in: a link that opens a phone, for one use.
import { h, icon, replace, timeOfDay } from '/console/lib/dom.js';
import { refusal } from './permissions.js';

const ROLES = [['customer', 'person', 'Customer'], ['agent', 'headset', 'Agent']];

export function invite({ api, path, key }) {
  const lacking = refusal(key, 'invite');
  const label = h('input', { maxlength: '64', autocomplete: 'off', placeholder: 'optional' });
  const answer = h('div', { class: 'small stack', 'aria-live': 'polite' });

  /** A link of its own for each press; `use(address, until)` gives what is said of it. */
  const press = async (role, use) => {
    if (lacking) return;
    replace(answer, 'Asking for a link…');
    try {
      const name = label.value.trim();
      const link = await api.post(`${path}/invite`, { role, ...(name && { label: name }) });
      const url = new URL(link.path, location.href);
      if (url.origin !== location.origin) throw new Error('The server gave a link to another place. It was not opened.');
      replace(answer, await use(url.href, `once, until ${timeOfDay(link.expires_at)}`));
    } catch (problem) {
      replace(answer, h('p', { class: 'fault' }, problem.message));
    }
  };
  const openHere = (href, times) => {
    open(href, '_blank', 'noopener');
    return ['If no tab has opened: ', h('a', { href, target: '_blank', rel: 'noopener' }, 'the phone'), `, ${times}.`];
  };
  const copy = async (href, times) => {
    const copied = await navigator.clipboard?.writeText(href).then(() => true, () => false);
    const field = h('input', { readonly: true, value: href, 'aria-label': 'The link', onfocus: () => field.select() });
    return [h('p', {}, `${copied ? 'The link is copied' : 'Copy this link'}. It works ${times}.`), copied ? null : field];
  };
  const button = (text, who, role, use, how) => h('button', { class: 'button small', 'aria-disabled': lacking && 'true', 'aria-label': `${text}: ${who}`,
    'data-invite': role, 'data-how': how, onclick: () => press(role, use) }, text);
  const row = ([role, sign, who]) => h('li', { class: 'row wrap' }, h('span', { class: 'row grow' }, icon(sign), who),
    button('Open here', who, role, openHere, 'open'), button('Copy link', who, role, copy, 'copy'));
  return h('section', { class: 'card stack' }, h('h2', {}, 'Invite'),
    h('p', { class: 'muted small' }, lacking ?? 'A phone in a browser tab: open it here to try, or send its link to somebody. Each link works once, within ten minutes.'),
    h('label', { class: 'field' }, 'Name shown', label), h('ul', { class: 'stack' }, ROLES.map(row)), answer);
}
