// Levels change ten times a second: each is one custom property that moves a transform, written only when it moved.
import { meterOf } from '/console/lib/microphone.js';

/** Shows a level (dBFS or null) in a `.meter`, and speaking on `owner` and, for who does not see it, in the hidden text `said`. */
export function showLevel(meter, owner, dbfs, speaking, said = null) {
  const level = meterOf(dbfs ?? -100).toFixed(2);
  if (meter.dataset.level !== level) {
    meter.dataset.level = level;
    meter.style.setProperty('--level', level);
  }
  if (owner.hasAttribute('data-speaking') === Boolean(speaking)) return;
  owner.toggleAttribute('data-speaking');
  if (said) said.textContent = speaking ? ', speaking' : ''; // in no live region: read with the name, never called out
}
