// Commands that were asked for and are not in the sound yet. A command is over when the live stream shows its tick: until then the
// page shows the old state and says what was asked.

const TRIES = 4;
const SETTLE = 1_500; // ms after a confirmed answer: a change of nothing has no tick of its own

/** Whether the state `room` holds what `applied` (an answer) says was applied. */
export function shows(room, applied) {
  if (!applied.confirmed && room.pending) return false;
  return room.shard === applied.shard ? room.applied_tick >= applied.applied_tick : Date.parse(room.applied_at) >= Date.parse(applied.applied_at);
}

/** Events: 'change'; 'refused' with `.problem` and `.command`. */
export class Commands extends EventTarget {
  #list = []; #room = null; #id; #now; #wait;

  constructor({ id, now = () => performance.now(), wait = (ms) => new Promise((done) => setTimeout(done, ms)) }) {
    super();
    [this.#id, this.#now, this.#wait] = [id, now, wait];
  }

  /** The newest that is not in the sound yet: { name, words, asked (ms) }, or null. */
  get pending() { return this.#list.at(-1) ?? null; }

  /**
   * Asks once; a second press of the newest does nothing. `send(command_id)` gives the server's answer or throws: where the answer was
   * lost, the same id is sent again, so that it is done once. Resolves to whether the server did it.
   */
  async ask(name, words, send) {
    if (this.pending?.name === name) return false;
    const command = { name, words, asked: this.#now(), applied: null };
    this.#keep([...this.#list, command]);
    try {
      command.applied = await this.#send(send, this.#id());
    } catch (problem) {
      this.#drop(command);
      this.dispatchEvent(Object.assign(new Event('refused'), { problem, command }));
      return false;
    }
    this.#settle();
    if (command.applied?.confirmed !== false) this.#wait(SETTLE).then(() => this.#drop(command));
    return true;
  }

  /** What the live stream shows now. */
  saw(room) {
    this.#room = room;
    this.#settle();
  }

  clear() { this.#keep([]); }

  async #send(send, id) {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await send(id);
      } catch (problem) {
        if (![0, 503].includes(problem.status) || attempt === TRIES) throw problem;
        await this.#wait(attempt * 500);
      }
    }
  }

  #settle() {
    if (this.#room) this.#keep(this.#list.filter(({ applied }) => !applied || !shows(this.#room, applied)));
  }

  #drop(command) { this.#keep(this.#list.filter((other) => other !== command)); }

  #keep(commands) {
    if (commands.length === this.#list.length) return;
    this.#list = commands;
    this.dispatchEvent(new Event('change'));
  }
}
