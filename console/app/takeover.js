// Whom a takeover sets aside.
import { h } from '/console/lib/dom.js';
import { nameOf } from './hearing.js';
import { ask } from './question.js';

/** Resolves to {} for all agents, { agents: [ids] } for some, null for no. One agent needs no question. */
export async function chooseAgents(agents) {
  if (agents.length < 2) return {};
  const boxes = agents.map((member) => h('input', { type: 'checkbox', checked: true, value: member.id }));
  const chosen = () => boxes.filter((box) => box.checked).map((box) => Number(box.value));
  const some = await ask({
    title: 'Take the call over', yes: 'Take over', danger: true, value: chosen,
    body: [h('p', { class: 'notice bad' }, 'The customer hears you from then on.'),
      h('fieldset', { class: 'stack' }, h('legend', {}, 'Set aside, with no path to or from the customer:'), agents.map((member, at) => h('label', { class: 'row' }, boxes[at], nameOf(member)))),
      h('p', { class: 'muted small' }, 'If all are, so is who joins meanwhile. Stop brings them back.')],
    ready: (confirm) => boxes.forEach((box) => box.addEventListener('change', () => { confirm.disabled = chosen().length === 0; })),
  });
  return some && (some.length === agents.length ? {} : { agents: some });
}
