// The sound of one call: an RTCPeerConnection with one audio line, negotiated by whole SDPs.

const GATHERING = 500; // ms: a public server finds us by our checks, so no candidate is worth a longer wait
const GRACE = 2_500; // a short gap mends itself

export class Media extends EventTarget {
  held = false;
  heldByFar = false;
  blocked = false;
  #pc; #line; #audio = new Audio(); #grace = null;

  constructor(iceServers, track) {
    super();
    this.#pc = new RTCPeerConnection({ iceServers: iceServers ?? [], bundlePolicy: 'max-bundle' });
    this.#pc.addTrack(track, new MediaStream([track])); // addTransceiver would not take the line that a caller offers
    [this.#line] = this.#pc.getTransceivers();
    this.#audio.autoplay = true;
    this.#pc.ontrack = ({ track: theirs }) => {
      this.#audio.srcObject = new MediaStream([theirs]);
      this.resume();
    };
    this.#pc.oniceconnectionstatechange = () => this.#changed();
  }

  get connected() {
    return ['connected', 'completed'].includes(this.#pc.iceConnectionState);
  }

  #changed() {
    clearTimeout(this.#grace);
    const state = this.#pc.iceConnectionState;
    if (this.connected) this.#emit('well');
    if (state === 'failed') this.#emit('trouble');
    if (state === 'disconnected') this.#grace = setTimeout(() => this.#emit('trouble'), GRACE);
  }

  #emit(name) {
    this.dispatchEvent(new Event(name));
  }

  async offer({ held = this.held, restart = false } = {}) {
    this.#line.direction = held ? 'sendonly' : 'sendrecv';
    await this.#pc.setLocalDescription(await this.#pc.createOffer({ iceRestart: restart }));
    await this.#gathered();
    return this.#told();
  }

  /** Their answer to our offer; `early` may change until the call is answered. */
  async accept(sdp, early = false) {
    await this.#pc.setRemoteDescription({ type: early ? 'pranswer' : 'answer', sdp });
    this.held = this.#audio.muted = this.#line.direction === 'sendonly';
  }

  /** Our answer to their offer. */
  async answer(sdp) {
    await this.#pc.setRemoteDescription({ type: 'offer', sdp });
    await this.#pc.setLocalDescription(await this.#pc.createAnswer());
    await this.#gathered();
    this.heldByFar = /^a=(sendonly|inactive)\s*$/m.test(sdp);
    return this.#told();
  }

  // Silence need not be sent to us (RFC 7587 §6.1): browsers bear it, but do not say so.
  #told() {
    return this.#pc.localDescription.sdp.replace('useinbandfec=1', 'useinbandfec=1;usedtx=1');
  }

  /** Forgets an offer that was refused. */
  async rollback() {
    if (this.#pc.signalingState === 'have-local-offer') await this.#pc.setLocalDescription({ type: 'rollback' });
    this.#line.direction = this.held ? 'sendonly' : 'sendrecv';
  }

  #gathered() {
    if (this.#pc.iceGatheringState === 'complete') return null;
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, GATHERING);
      this.#pc.onicegatheringstatechange = () => {
        if (this.#pc.iceGatheringState !== 'complete') return;
        clearTimeout(timer);
        resolve();
      };
    });
  }

  setTrack(track) {
    return this.#line.sender.replaceTrack(track);
  }

  /** As RTP events (RFC 4733); false where they were not negotiated. */
  digit(digit) {
    const { dtmf } = this.#line.sender;
    if (!dtmf?.canInsertDTMF) return false;
    dtmf.insertDTMF(dtmf.toneBuffer + digit, 120, 70);
    return true;
  }

  /** Plays, as far as the browser lets a page do so before somebody has touched it. */
  async resume() {
    const blocked = await this.#audio.play().then(() => false, (error) => error.name === 'NotAllowedError');
    if (blocked !== this.blocked) {
      this.blocked = blocked;
      this.#emit('blocked');
    }
  }

  async setSpeaker(deviceId) {
    await this.#audio.setSinkId?.(deviceId);
  }

  async stats() {
    const found = { codec: null, roundTripMs: null, jitterMs: null, lostPercent: null };
    const report = await this.#pc.getStats();
    for (const each of report.values()) {
      if (each.type === 'candidate-pair' && each.nominated && each.currentRoundTripTime !== undefined) found.roundTripMs = Math.round(each.currentRoundTripTime * 1_000);
      if (each.type !== 'inbound-rtp' || each.kind !== 'audio') continue;
      found.codec = report.get(each.codecId)?.mimeType?.replace('audio/', '') ?? null;
      found.jitterMs = Math.round((each.jitter ?? 0) * 1_000);
      const expected = each.packetsReceived + each.packetsLost;
      found.lostPercent = expected > 0 ? Math.max(0, Math.round((each.packetsLost / expected) * 1_000) / 10) : null;
    }
    return found;
  }

  close() {
    clearTimeout(this.#grace);
    this.#pc.oniceconnectionstatechange = null;
    this.#pc.close();
    this.#audio.srcObject = null;
  }
}
