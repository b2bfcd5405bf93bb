/** Waiting times that double from `first` to `most` ms, each with jitter, so that a server's restart is not met by everybody at once. */
export class Backoff {
  #first; #most; #tries = 0;

  constructor(first, most) {
    [this.#first, this.#most] = [first, most];
  }

  next() {
    const full = Math.min(this.#most, this.#first * 2 ** this.#tries++);
    return full * (0.5 + Math.random() / 2);
  }

  reset() {
    this.#tries = 0;
  }
}
