// Single-key shortcuts can be turned off (WCAG 2.1.4): with speech input each word would press them.
import { h } from '/console/lib/dom.js';

const PLACE = 'aside-shortcuts';

/** A checkbox; `.on` says whether shortcuts act. Remembered in this browser. */
export function shortcutSwitch() {
  const box = h('input', { type: 'checkbox', checked: localStorage.getItem(PLACE) !== 'off', onchange: () => localStorage.setItem(PLACE, box.checked ? 'on' : 'off') });
  return { element: h('label', { class: 'row small muted switch' }, box, 'Single keys (L, W, B, …) press these buttons'), get on() { return box.checked; } };
}
