// Signing in with a key.
import { h, icon, replace, setText } from '/console/lib/dom.js';
import { Session } from './session.js';

/** Shows the form in `main`; `done(session)` when the key is good. `why`: what ended the last session. */
export function signIn(main, { why, done }) {
  const field = h('input', { type: 'password', autocomplete: 'off', spellcheck: 'false', placeholder: 'aside_…', 'aria-describedby': 'key-help key-fault' });
  const fault = h('p', { id: 'key-fault', class: 'fault', role: 'alert' });
  const button = h('button', { class: 'button primary' }, 'Sign in');
  const refuse = (text) => {
    setText(fault, text);
    field.ariaInvalid = 'true';
    field.focus();
  };
  const submit = async (event) => {
    event.preventDefault();
    const key = field.value.trim();
    if (!key) return refuse('Write or paste a key.');
    button.disabled = true;
    try {
      done(await Session.open(key));
    } catch (problem) {
      refuse(problem.status === 401 ? 'This key is not good: it is mistyped, deleted or has expired.' : problem.message);
    }
    button.disabled = false;
  };
  replace(main, h('div', { class: 'page signin' },
    h('div', {}, h('h1', {}, 'Who hears whom'), h('p', { class: 'muted' }, 'Listen to live calls, whisper to the agent, speak to all, or take over.')),
    why && h('p', { class: 'notice warn', role: 'alert' }, icon('warning'), h('span', {}, why)),
    h('form', { class: 'card stack', onsubmit: submit }, h('label', { class: 'field' }, 'Key', field), fault, button,
      h('p', { id: 'key-help', class: 'muted small' }, 'It stays in this tab alone. Whoever runs the server makes one with ',
        h('code', {}, 'aside key create NAME --scopes read,monitor,coach'), '.'))));
  field.focus();
}
