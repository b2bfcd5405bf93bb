// Questions before what cannot be undone.
import { h } from '/console/lib/dom.js';

/** A dialog that resolves to `value()` on yes, to null on no or Escape. `ready(confirm)` gets its button once it is open. */
export function ask({ title, body, yes, danger = false, value = () => true, ready }) {
  return new Promise((done) => {
    let answer = null;
    const confirm = h('button', { class: `button ${danger ? 'danger' : 'primary'}` }, yes);
    const no = h('button', { class: 'button', type: 'button', onclick: () => dialog.close() }, 'Cancel');
    const submit = (event) => {
      event.preventDefault();
      if (confirm.ariaDisabled === 'true') return;
      answer = value();
      dialog.close();
    };
    const dialog = h('dialog', { 'aria-labelledby': 'question', onkeydown: (event) => event.stopPropagation() }, // no shortcuts here
      h('form', { class: 'stack', onsubmit: submit }, h('h2', { id: 'question' }, title), body, h('div', { class: 'row wrap end' }, no, confirm)));
    dialog.addEventListener('close', () => { dialog.remove(); done(answer); });
    document.body.append(dialog);
    dialog.showModal();
    (danger ? no : confirm).focus();
    ready?.(confirm);
  });
}

/** Whether a question is open: shortcuts wait. */
export const isAsking = () => document.querySelector('dialog[open]') !== null;
