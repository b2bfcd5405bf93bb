// The question for a supervisor: asked, taken back, or over because one has come.

const LOOK = 3_000; // ms

/** Events: 'change' (read `.asked`); 'come': a supervisor is in the room. `api` carries the endpoint's own credentials. */
export class Help extends EventTarget {
  asked = false;
  #api; #uuid; #timer = null;

  constructor(api, uuid) {
    super();
    [this.#api, this.#uuid] = [api, uuid];
  }

  /** Asks, or takes it back; throws a Problem. */
  async toggle() {
    await (this.asked ? this.#api.delete : this.#api.post)('/phone/help', { call_uuid: this.#uuid });
    this.#become(!this.asked);
  }

  /** The call is over. */
  end() {
    clearTimeout(this.#timer);
    this.asked = false;
  }

  #become(asked) {
    clearTimeout(this.#timer);
    this.asked = asked;
    if (asked) this.#timer = setTimeout(() => this.#look(), LOOK);
    this.dispatchEvent(new Event('change'));
  }

  async #look() {
    const timer = this.#timer;
    const answer = await this.#api.get(`/phone/help?call_uuid=${encodeURIComponent(this.#uuid)}`).catch((problem) => ({ problem }));
    if (timer !== this.#timer || !this.asked) return; // taken back meanwhile
    if (answer.problem?.temporary || answer.asked) this.#timer = setTimeout(() => this.#look(), LOOK);
    else {
      this.#become(false);
      if (!answer.problem) this.dispatchEvent(new Event('come'));
    }
  }
}
