// The microphone: asked for once, shown by its level, changed without leaving a call.

const FLOOR = -100;
const REASONS = {
  NotAllowedError: ['refused', 'The browser was not allowed to use the microphone. Allow it by the sign beside the address, then try again.'],
  NotFoundError: ['none', 'No microphone was found. Plug one in, then try again.'],
  OverconstrainedError: ['none', 'The chosen microphone is not there any more. Choose another one.'],
  NotReadableError: ['in_use', 'The microphone cannot be opened: another program may be using it. Close that program, then try again.'],
  AbortError: ['in_use', 'The microphone cannot be opened: another program may be using it. Close that program, then try again.'],
};

export class MicrophoneError extends Error {
  constructor(reason, message) {
    super(message);
    this.reason = reason;
  }

  static from(error) {
    return new MicrophoneError(...(REASONS[error.name] ?? ['failed', `The microphone cannot be opened (${error.name}).`]));
  }
}

/** Events: 'change' (another track), 'level', 'devices', 'lost' (gone, and no other), 'replaced' (gone, another was taken: `.from`). */
export class Microphone extends EventTarget {
  track = null;
  level = FLOOR;
  #deviceId; #opening = null; #context = null; #source = null; #meter = null;
  #listed = () => this.#emit('devices');

  constructor({ deviceId = '' } = {}) {
    super();
    this.#deviceId = deviceId;
  }

  get deviceId() { return this.track?.getSettings().deviceId ?? this.#deviceId; }
  get label() { return this.track?.label ?? ''; }
  /** It was unplugged, and there is no other: nothing is sent. */
  get lost() { return this.track?.readyState === 'ended'; }

  /** The track of this device, or of the one at hand; asks where it must. */
  async open(deviceId = this.#deviceId) {
    if (this.track?.readyState === 'live' && deviceId === this.#deviceId) return this.track;
    while (this.#opening) await this.#opening.catch(() => {});
    this.#opening = this.#ask(deviceId);
    try {
      return await this.#opening;
    } finally {
      this.#opening = null;
    }
  }

  async #ask(deviceId) {
    if (!window.isSecureContext) throw new MicrophoneError('insecure', 'Browsers open a microphone only on pages that came by https. Ask whoever runs this server for its https address.');
    if (!navigator.mediaDevices?.getUserMedia) throw new MicrophoneError('unsupported', 'This browser cannot make calls. Use a current Chrome, Edge, Firefox or Safari.');
    const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1, ...(deviceId && { deviceId: { exact: deviceId } }) };
    const stream = await navigator.mediaDevices.getUserMedia({ audio }).catch((error) => { throw MicrophoneError.from(error); });
    const before = this.track;
    [this.track] = stream.getAudioTracks();
    this.#deviceId = deviceId;
    this.track.enabled = before?.enabled ?? true;
    this.track.onended = () => this.#unplugged();
    if (before) {
      before.onended = null;
      before.stop();
    } else navigator.mediaDevices.addEventListener('devicechange', this.#listed);
    this.#measure(stream);
    this.#emit('change');
    return this.track;
  }

  async #unplugged() {
    const from = this.label;
    [this.#deviceId, this.level] = ['', FLOOR];
    this.#emit('level');
    await this.open().then(() => this.dispatchEvent(Object.assign(new Event('replaced'), { from })), () => this.#emit('lost'));
  }

  #measure(stream) {
    this.#context ??= new AudioContext();
    this.#context.resume();
    this.#source?.disconnect();
    this.#source = this.#context.createMediaStreamSource(stream);
    const analyser = this.#context.createAnalyser();
    analyser.fftSize = 1_024;
    this.#source.connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    clearInterval(this.#meter);
    this.#meter = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
      this.level = Math.max(FLOOR, 10 * Math.log10(power || 1e-10));
      this.#emit('level');
    }, 66);
  }

  close() {
    clearInterval(this.#meter);
    navigator.mediaDevices?.removeEventListener('devicechange', this.#listed);
    if (this.track) this.track.onended = null;
    this.track?.stop();
    this.#context?.close();
    [this.track, this.#context, this.#source, this.level] = [null, null, null, FLOOR];
    this.#emit('level');
  }

  inputs() { return devices('audioinput', 'Microphone'); }
  outputs() { return devices('audiooutput', 'Speaker'); }

  #emit(name) {
    this.dispatchEvent(new Event(name));
  }
}

/** Names are only told once a microphone was allowed. */
async function devices(kind, name) {
  const all = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
  return all.filter((each) => each.kind === kind && each.deviceId).map((each, at) => ({ id: each.deviceId, label: each.label || `${name} ${at + 1}` }));
}

/** 0 … 1 for a meter: −60 dBFS is nothing, −10 dBFS is full. */
export const meterOf = (level) => Math.min(1, Math.max(0, (level + 60) / 50));
