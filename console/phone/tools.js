// What an agent can do in a call besides talking: hold, transfer, ask for a supervisor.
import { h, say } from '../lib/dom.js';
import { toggle } from '../lib/panel.js';

/** `api` carries the endpoint's own credentials, or is null for somebody who came by invitation. `report(text)` shows a failure. */
export function agentTools(call, api, report) {
  const attempt = (action) => async () => {
    report('');
    await action().catch((error) => report(error.message));
  };

  const hold = toggle('hold', 'Hold', attempt(() => call.hold(!call.held)));
  const tools = [{ button: hold, update: () => hold.show(call.held, call.held ? 'Resume' : 'Hold') }];
  if (!api) return tools;

  let asked = false;
  const help = toggle('headset', 'Bring in a supervisor', attempt(async () => {
    help.disabled = true;
    try {
      await (asked ? api.delete : api.post)('/phone/help', { call_uuid: call.uuid });
      asked = !asked;
      say(asked ? 'A supervisor was asked to join.' : 'The question for a supervisor was taken back.');
    } finally {
      help.disabled = false;
      show();
    }
  }));
  const show = () => help.show(asked, asked ? 'Supervisor asked: take back' : 'Bring in a supervisor');
  const transfer = toggle('transfer', 'Transfer', () => question.showModal());
  const target = h('input', { id: 'transfer-to', autocomplete: 'off', required: true });
  const question = h('dialog', { 'aria-labelledby': 'transfer-title' }, h('form', { method: 'dialog', class: 'stack', onsubmit: attempt(() => call.transfer(target.value.trim())) },
  h('h2', { id: 'transfer-title' }, 'Transfer this call'), h('label', { class: 'field', for: 'transfer-to' }, 'To a number or user name', target),
  h('div', { class: 'row' }, h('button', { class: 'button primary' }, 'Transfer'), h('button', { class: 'button', type: 'button', onclick: () => question.close() }, 'Cancel'))));
  document.body.append(question);
  call.addEventListener('transfer-failed', ({ detail }) => report(`The call was not transferred: nobody took it (${detail}). You are still connected.`));
  return [...tools, { button: transfer, update: () => { transfer.disabled = call.transferring; if (call.ended) question.remove(); } }, { button: help, update: () => { help.hidden = !call.uuid; } }];
}
