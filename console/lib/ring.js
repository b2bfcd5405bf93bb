// Ringing: made of two oscillators, so there is no file to fetch; and the title flashes for whoever looks elsewhere.

const RING = { tones: [440, 480], on: 1, period: 3, loud: 0.14 };
const BACK = { tones: [425], on: 1, period: 5, loud: 0.05 };

class Ringer {
  #context = null; #voices = []; #title = null; #flashing = null;

  /** Inside a click: from then on this page may sound by itself. */
  prime() {
    this.#context ??= new AudioContext();
    this.#context.resume();
  }

  start(title) {
    this.stop();
    this.#sound(RING);
    this.#title = document.title;
    let on = false;
    this.#flashing = setInterval(() => { document.title = (on = !on) ? `☎ ${title}` : this.#title; }, 1_000);
    navigator.vibrate?.([400, 600, 400]);
  }

  /** What a caller hears while it rings elsewhere. */
  back() {
    this.stop();
    this.#sound(BACK);
  }

  stop() {
    clearInterval(this.#flashing);
    if (this.#title !== null) document.title = this.#title;
    this.#title = null;
    for (const voice of this.#voices) voice.stop();
    this.#voices = [];
  }

  #sound({ tones, on, period, loud }) {
    this.prime();
    const gain = this.#context.createGain();
    gain.gain.value = 0;
    gain.connect(this.#context.destination);
    const now = this.#context.currentTime;
    for (let at = now; at < now + 180; at += period) {
      gain.gain.setTargetAtTime(loud, at, 0.02);
      gain.gain.setTargetAtTime(0, at + on, 0.03);
    }
    this.#voices = tones.map((hertz) => {
      const voice = this.#context.createOscillator();
      voice.frequency.value = hertz;
      voice.connect(gain);
      voice.start();
      return voice;
    });
  }
}

export const ringer = new Ringer();
