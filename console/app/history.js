// "Could the customer hear the supervisor at 12:03:04?": the ledger's answer.
import { h, replace, timeOfDay } from '/console/lib/dom.js';
import { customerHeardSupervisor } from './sentence.js';
import { table } from './table.js';

/** A time for <input type="datetime-local">, in this browser's time zone. */
const local = (ms) => new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 19);

/** The ledger's matrix in the shape of a room; `people` (id → member) names those this page has seen. */
const asRoom = ({ rows }, people) => ({
  state: 'past',
  members: rows.map(({ listener, role }) => ({ ...people.get(listener), id: listener, role })),
  hears: rows.map(({ listener, hears }) => [listener, hears]),
});

/** A form; `now()` is the server's time. */
export function history({ api, path, people, now }) {
  const time = h('input', { type: 'datetime-local', step: '1', required: true });
  const answer = h('div', { class: 'stack', 'aria-live': 'polite' });
  const look = async (event) => {
    event.preventDefault();
    const at = new Date(time.value);
    try {
      if (at > now()) throw new Error('This time has not come yet.');
      const matrix = await api.get(`${path}/hearing?at=${at.toISOString()}`);
      const caption = `At ${timeOfDay(at)}. It was so from ${timeOfDay(matrix.at)}${matrix.pending ? '; a change was not confirmed' : ''}.`;
      const past = asRoom(matrix, people);
      replace(answer, h('strong', {}, customerHeardSupervisor(past)), matrix.rows.length > 0
        && h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Who heard whom then' }, table(past, caption, matrix.tick)));
    } catch (problem) {
      replace(answer, h('p', { class: 'fault' }, problem.message));
    }
  };
  return h('details', { class: 'card', ontoggle: () => { time.value ||= local(now() - 60_000); } },
    h('summary', {}, h('h2', {}, 'Who heard whom at another time')),
    h('form', { class: 'stack when', onsubmit: look }, h('label', { class: 'field' }, 'Time (yours)', time), h('button', { class: 'button' }, 'Look')), answer);
}
