// Measures who talks: nothing of what is said, only when, and how it overlaps.

const FRAME_S = 0.02;
const LOUD = 10 ** (-45 / 20) * 32768;  // louder than −45 dBFS is talk
const HANGOVER = 15;                    // frames: a breath of 0.3 s does not end a word
const TURN = 75;                        // frames: a pause of 1.5 s ends what somebody says
const OVERLAP = 15;                     // frames of both at once that make an interruption
const KEPT_S = 15;

class Side {
  frames = 0;     // in which this side talked
  turn = 0;       // frames since it began to talk, pauses included; 0: it does not
  quiet = TURN;   // frames since its last word
  recent = [];    // its sound

  hear(samples) {
    let power = 0;
    for (const sample of samples) power += sample * sample;
    this.quiet = Math.sqrt(power / samples.length) > LOUD ? 0 : this.quiet + 1;
    if (this.talks) this.frames += 1;
    this.turn = this.quiet < TURN ? this.turn + 1 : 0;
    this.recent.push(samples);
    if (this.recent.length > KEPT_S / FRAME_S) this.recent.shift();
  }

  get talks() {
    return this.quiet < HANGOVER;
  }
}

/** Takes L16 of two channels, the agent left and the others right, and tells what calls for a hint. */
export class TalkMeter {
  constructor(rate, limits) {
    this.limits = limits;
    this.frame = Math.round(rate * FRAME_S);
    this.rest = Buffer.alloc(0);
    this.sides = [new Side(), new Side()];
    this.heard = 0;           // frames
    this.silent = 0;          // frames in which nobody has talked
    this.both = 0;            // frames in which both talk
    this.agentBegan = false;  // it was the agent who fell into the others' words
    this.interruptions = 0;
    this.told = new Set();
  }

  /** What calls for a hint: `monologue`, `interruption`, `silence`, `share`. */
  hear(sound) {
    const all = Buffer.concat([this.rest, sound]);
    const size = this.frame * 4;
    const causes = [];
    let at = 0;
    for (; at + size <= all.length; at += size) {
      const [agent, others] = [new Int16Array(this.frame), new Int16Array(this.frame)];
      for (let i = 0; i < this.frame; i += 1) {
        agent[i] = all.readInt16LE(at + 4 * i);
        others[i] = all.readInt16LE(at + 4 * i + 2);
      }
      causes.push(...this.step(agent, others));
    }
    this.rest = all.subarray(at);
    return causes;
  }

  step(left, right) {
    const [agent, others] = this.sides;
    const before = { agent: agent.talks, others: others.talks };
    agent.hear(left);
    others.hear(right);
    this.heard += 1;
    this.silent = agent.talks || others.talks ? 0 : this.silent + 1;
    // Whoever begins while the other one talks.
    if (agent.talks && others.talks && this.both === 0) this.agentBegan = before.others && !before.agent;
    this.both = agent.talks && others.talks ? this.both + 1 : 0;
    const interrupts = this.both === OVERLAP && this.agentBegan;
    if (interrupts) this.interruptions += 1;
    const { limits } = this;
    const { share, talkSeconds } = this.figures();
    const now = {
      monologue: agent.turn * FRAME_S >= limits.monologue && !others.talks,
      interruption: interrupts,
      silence: this.silent * FRAME_S >= limits.silence,
      share: talkSeconds >= limits.shareAfter && share > limits.share,
    };
    // Each is told when it begins to be so.
    const begun = Object.keys(now).filter((cause) => now[cause] && !this.told.has(cause));
    this.told = new Set(Object.keys(now).filter((cause) => now[cause]));
    return begun;
  }

  /** Seconds of sound and of talk, the agent's part of it, and how often the agent interrupted. */
  figures() {
    const [agent, others] = this.sides.map((side) => side.frames * FRAME_S);
    const talkSeconds = agent + others;
    const round = (number) => Math.round(number * 100) / 100;
    return {
      seconds: round(this.heard * FRAME_S),
      talkSeconds: round(talkSeconds),
      share: talkSeconds ? round(agent / talkSeconds) : 0,
      interruptions: this.interruptions,
    };
  }

  /** The last 15 s of a side, as Int16Array: 0 is the agent, 1 are the others. */
  lately(side) {
    const { recent } = this.sides[side];
    const sound = new Int16Array(recent.length * this.frame);
    recent.forEach((frame, index) => sound.set(frame, index * this.frame));
    return sound;
  }
}
