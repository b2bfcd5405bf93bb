// "Who hears me now?" in large type, with what was asked for and is not in the sound yet.
import { h, icon, replace, setText } from '/console/lib/dom.js';

const ICONS = { public: 'barge', aside: 'whisper', nobody: 'mic-off', out: 'ear', unknown: 'warning' };

export class Verdict {
  #sign = h('div', { class: 'sign' });
  #headline = h('p', { class: 'headline' });
  #detail = h('p', { class: 'detail' });
  #pending = h('p', { class: 'pending' });
  #since = h('p', { class: 'since' });
  element = h('section', { class: 'verdict', 'aria-label': 'Who hears you now' },
    this.#sign, h('div', {}, this.#headline, this.#detail), h('div', { class: 'row wrap foot' }, this.#pending, this.#since));

  /** What `whoHearsMe` says. */
  show({ tone, headline, detail }) {
    if (this.element.dataset.tone !== tone) replace(this.#sign, icon(ICONS[tone]));
    this.element.dataset.tone = tone;
    setText(this.#headline, headline);
    setText(this.#detail, detail);
  }

  /** What was asked for, and since when this holds: sentences or ''; `tick`: of the media thread, or null. */
  waits(pending, since, tick) {
    setText(this.#pending, pending);
    setText(this.#since, since);
    const now = String(tick ?? '');
    if (this.#since.dataset.tick === now) return;
    this.#since.dataset.tick = now;
    this.#since.title = now && `tick ${now}`;
  }
}
