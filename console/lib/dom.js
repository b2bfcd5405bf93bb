// Building and changing the page without a framework.

export const $ = (selector, root = document) => root.querySelector(selector);

/** An element: h('button', { class: 'button', onclick: f }, 'Call'). Text is always text, never HTML. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'dataset') Object.assign(element.dataset, value);
    else if (typeof value === 'boolean' && !name.startsWith('aria-')) element.toggleAttribute(name, value);
    else element.setAttribute(name, value);
  }
  append(element, children);
  return element;
}

function append(parent, children) {
  for (const child of children.flat(Infinity)) if (child !== null && child !== undefined && child !== false) parent.append(child);
}

export function replace(parent, ...children) {
  parent.replaceChildren();
  append(parent, children);
}

/** Sets text only when it differs, so that a screen reader is not told the same thing twice. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const SVG = 'http://www.w3.org/2000/svg';

/** The icons are taken into the page once: fetched one by one, they would be missing where the network is gone. */
let sprite = null;
function takeIcons() {
  sprite ??= fetch('/console/lib/icons.svg').then((answer) => answer.text()).then((text) => {
    const icons = document.importNode(new DOMParser().parseFromString(text, 'image/svg+xml').documentElement, true);
    for (const symbol of icons.children) symbol.id = `icon-${symbol.id}`;
    icons.toggleAttribute('hidden', true);
    document.body.append(icons);
  }).catch(() => { sprite = null; });
}

export function icon(name) {
  takeIcons();
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', `#icon-${name}`);
  svg.append(use);
  return svg;
}

const regions = new Map();

/** Says something to screen readers; urgent interrupts. */
export function say(text, urgent = false) {
  const kind = urgent ? 'assertive' : 'polite';
  let region = regions.get(kind);
  if (!region) {
    region = h('div', { class: 'visually-hidden', 'aria-live': kind, role: urgent ? 'alert' : 'status' });
    regions.set(kind, region);
    document.body.append(region);
  }
  region.pending = text;
  setTimeout(() => { region.textContent = region.pending; }, 100); // a new region is only listened to once it is in the page
}

/** 187 → "3:07". */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (n) => String(n).padStart(2, '0');
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/** '14:03:07'; with the date where that is not today's. */
export function timeOfDay(iso, today = new Date()) {
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return '';
  const time = at.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit' });
  if (at.toDateString() === today.toDateString()) return time;
  const year = at.getFullYear() === today.getFullYear() ? {} : { year: 'numeric' };
  return `${at.toLocaleDateString([], { day: 'numeric', month: 'short', ...year })}, ${time}`;
}

/** Random text that can stand in a URL or a SIP token. */
export function randomId(bytes = 16) {
  const raw = crypto.getRandomValues(new Uint8Array(bytes));
  return btoa(String.fromCharCode(...raw)).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
}

/** Shortcuts of a page: { m: toggleMute }. Silent while somebody types, which nobody does in a box to tick. Gives back what undoes it. */
export function keyboard(keys) {
  const pressed = (event) => {
    const typing = event.target.closest?.('input:not([type=checkbox], [type=radio]), select, textarea, [contenteditable]');
    if (typing || event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
    const action = keys[event.key] ?? keys[event.key.toLowerCase()];
    if (!action) return;
    event.preventDefault();
    action(event);
  };
  document.addEventListener('keydown', pressed);
  return () => document.removeEventListener('keydown', pressed);
}
