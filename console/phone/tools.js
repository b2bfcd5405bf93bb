// What an agent can do in a call besides talking: hold, transfer, ask for a supervisor.
import { h, say } from '../lib/dom.js';
import { toggle } from '../lib/panel.js';
import { Help } from './help.js';

/** `api` carries the endpoint's own credentials, or is null for somebody who came by invitation. `report(text, kind)` shows a notice. */
export function agentTools(call, api, report) {
  const attempt = (action) => async () => {
    report('');
    await action().catch((error) => report(error.message));
  };

  const hold = toggle('hold', 'Hold', attempt(() => call.hold(!call.held)));
  const tools = [{ button: hold, update: () => hold.show(call.held, call.held ? 'Resume' : 'Hold') }];
  if (!api) return tools;

  let question = null; // for a supervisor; the call's UUID is known once it is answered
  const help = toggle('headset', 'Bring in a supervisor', attempt(async () => {
    question ??= asks();
    help.disabled = true;
    try {
      await question.toggle();
      say(question.asked ? 'A supervisor was asked to join.' : 'You no longer ask for a supervisor.');
    } finally {
      help.disabled = false;
    }
  }));
  const asks = () => {
    const made = new Help(api, call.uuid);
    made.addEventListener('change', () => help.show(made.asked, made.asked ? 'Supervisor asked: take back' : 'Bring in a supervisor'));
    made.addEventListener('come', () => report('A supervisor is in the call now.', 'good'));
    return made;
  };
  const transfer = toggle('transfer', 'Transfer', () => dialog.showModal());
  const target = h('input', { id: 'transfer-to', autocomplete: 'off', required: true });
  const dialog = h('dialog', { 'aria-labelledby': 'transfer-title' }, h('form', { method: 'dialog', class: 'stack', onsubmit: attempt(() => call.transfer(target.value.trim())) },
  h('h2', { id: 'transfer-title' }, 'Transfer this call'), h('label', { class: 'field', for: 'transfer-to' }, 'To a number or user name', target),
  h('div', { class: 'row' }, h('button', { class: 'button primary' }, 'Transfer'), h('button', { class: 'button', type: 'button', onclick: () => dialog.close() }, 'Cancel'))));
  document.body.append(dialog);
  call.addEventListener('transfer-failed', ({ detail }) => report(`The call was not transferred: nobody took it (${detail}). You are still connected.`));
  return [...tools, { button: transfer, update: () => { transfer.disabled = call.transferring; if (call.ended) { dialog.remove(); question?.end(); } } }, { button: help, update: () => { help.hidden = !call.uuid; } }];
}
