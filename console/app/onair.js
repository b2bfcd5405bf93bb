// The state of the whole page: a frame and the tab's title say whether a customer can hear this microphone.
import { say } from '/console/lib/dom.js';

const SIGNS = { public: '● ON AIR', aside: '◐ Whisper', unknown: '? Not known' };
let told = null;

/** Shows who hears this page, as `whoHearsMe` says; null on pages without a room. */
export function onAir(verdict, room = null) {
  const tone = verdict?.tone ?? 'out';
  document.body.dataset.tone = tone;
  const title = [SIGNS[tone] && `${SIGNS[tone]}: ${verdict.headline}`, room, 'Aside console'].filter(Boolean).join(' · ');
  if (document.title !== title) document.title = title;
  const text = verdict && `${verdict.headline}. ${verdict.detail}`;
  if (text && text !== told) say(text, tone === 'public' || tone === 'unknown');
  told = text;
}
