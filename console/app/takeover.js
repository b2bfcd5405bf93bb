// Whom a takeover sets aside.
import { h } from '/console/lib/dom.js';
import { nameOf } from './hearing.js';
import { LABELS } from './labels.js';
import { ask } from './question.js';

/** Resolves to {} for all agents, { agents: [ids] } for some, null for no; `promise`: what customers hear. One agent needs no question. */
export async function chooseAgents(agents, promise) {
  if (agents.length < 2) return {};
  const boxes = agents.map((member) => h('input', { type: 'checkbox', checked: true, value: member.id }));
  const chosen = () => boxes.filter((box) => box.checked).map((box) => Number(box.value));
  const some = await ask({
    title: 'Take the call over', yes: LABELS.takeover, danger: true, value: chosen,
    body: [h('p', { class: 'notice bad' }, `${promise}.`),
      h('fieldset', { class: 'stack' }, h('legend', {}, 'Agents to set aside'), agents.map((member, at) => h('label', { class: 'row' }, boxes[at], nameOf(member)))),
      h('p', { class: 'muted small' }, `Who is set aside hears nobody and is heard by nobody, until you press “${LABELS.stop}”. If you set all agents aside, an agent who joins later is set aside too.`)],
    ready: (confirm) => boxes.forEach((box) => box.addEventListener('change', () => { confirm.disabled = chosen().length === 0; })),
  });
  return some && (some.length === agents.length ? {} : { agents: some });
}
