// A call in a page, whose descriptions can be made to name a relay instead of the other side, and whose received sound is kept as PCM. The
// driver speaks to `window.call`.
import JsSIP from 'jssip';

const PLAIN = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
const PCM = [];
let connection = null;
let gaps = 0;
const state = { registered: false, live: false, failed: null };

// Replaces all candidates of a description by one UDP address; none: leaves them as they are.
const through = (sdp, address) => {
  if (!address) return sdp;
  const [host, port] = address.split(':');
  const lines = sdp.split('\r\n').filter((line) => !/^a=(candidate:|end-of-candidates)/.test(line));
  const at = lines.findIndex((line) => line.startsWith('a=ice-ufrag:'));
  lines.splice(at, 0, `a=candidate:1 1 udp 2130706431 ${host} ${port} typ host generation 0`);
  return lines.join('\r\n');
};

const listen = async (track) => {
  const reader = new MediaStreamTrackProcessor({ track, maxBufferSize: 1000 }).readable.getReader();
  let expected = null;
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    if (expected !== null && Math.abs(value.timestamp - expected) > 1500) gaps += 1;
    expected = value.timestamp + (value.numberOfFrames / value.sampleRate) * 1e6;
    const samples = new Float32Array(value.numberOfFrames);
    value.copyTo(samples, { planeIndex: 0, format: 'f32-planar' });
    PCM.push({ rate: value.sampleRate, samples: Int16Array.from(samples, (s) => Math.max(-32768, Math.min(32767, Math.round(s * 32768)))) });
    value.close();
  }
};

const follow = (made) => {
  if (connection === made) return;
  connection = made;
  const hear = ({ track, streams }) => {
    document.querySelector('audio').srcObject = streams[0] ?? new MediaStream([track]);
    listen(track);
  };
  connection.addEventListener('track', hear);
};

const gathered = () => new Promise((done) => {
  const look = () => connection.iceGatheringState === 'complete' && done(connection.localDescription.sdp);
  connection.addEventListener('icegatheringstatechange', look);
  look();
});

window.call = {
  state,
  // Browser to browser: each side's description is carried by the driver.
  async direct() {
    follow(new RTCPeerConnection());
    const stream = await navigator.mediaDevices.getUserMedia({ audio: PLAIN });
    stream.getAudioTracks().forEach((track) => connection.addTrack(track, stream));
  },
  async offer() {
    await connection.setLocalDescription(await connection.createOffer());
    return gathered();
  },
  async answer(sdp, address) {
    await connection.setRemoteDescription({ type: 'offer', sdp: through(sdp, address) });
    await connection.setLocalDescription(await connection.createAnswer());
    return gathered();
  },
  async accept(sdp, address) {
    await connection.setRemoteDescription({ type: 'answer', sdp: through(sdp, address) });
  },
  // Through the server: SIP over a WebSocket. `near` is what this browser is told of the server, `far` what the server is told of it.
  register({ websocket, user, password, domain }) {
    const sockets = [new JsSIP.WebSocketInterface(websocket)];
    const ua = new JsSIP.UA({ sockets, uri: `sip:${user}@${domain}`, password, register: true, register_expires: 600 });
    ua.on('registered', () => { state.registered = true; });
    ua.on('registrationFailed', ({ cause }) => { state.failed = cause; });
    ua.on('newRTCSession', ({ session }) => {
      if (session.connection) follow(session.connection);
      session.on('peerconnection', ({ peerconnection }) => follow(peerconnection));
      session.on('confirmed', () => { state.live = true; });
      session.on('failed', ({ cause }) => { state.failed = cause; });
    });
    this.ua = ua;
    ua.start();
  },
  dial(target, near, far) {
    const sdp = (event) => { event.sdp = through(event.sdp, event.originator === 'local' ? far : near); };
    this.ua.call(target, { mediaConstraints: { audio: PLAIN, video: false }, pcConfig: { iceServers: [] }, eventHandlers: { sdp } });
  },
  connected: () => connection?.connectionState === 'connected',
  // The remote address in use, and what the receiver's buffer has done.
  async report() {
    const all = [...(await connection.getStats()).values()];
    const transport = all.find(({ type }) => type === 'transport');
    const pair = all.find(({ id }) => id === transport?.selectedCandidatePairId);
    const remote = all.find(({ id }) => id === pair?.remoteCandidateId);
    const inbound = all.find(({ type, kind }) => type === 'inbound-rtp' && kind === 'audio') ?? {};
    const outbound = all.find(({ type, kind }) => type === 'outbound-rtp' && kind === 'audio') ?? {};
    // What the other side reports of what this one sends.
    const reported = all.find(({ type, kind }) => type === 'remote-inbound-rtp' && kind === 'audio') ?? {};
    const codec = all.find(({ id }) => id === (inbound.codecId ?? outbound.codecId)) ?? {};
    const { packetsReceived, packetsLost, packetsDiscarded, totalSamplesReceived, concealedSamples, silentConcealedSamples,
      insertedSamplesForDeceleration, removedSamplesForAcceleration, jitterBufferDelay, jitterBufferEmittedCount, fecPacketsReceived } = inbound;
    return {
      remote: remote && `${remote.address}:${remote.port}`, codec: `${codec.mimeType} ${codec.sdpFmtpLine}`, packetsSent: outbound.packetsSent, gaps,
      bytesSent: outbound.bytesSent, reportedLost: reported.packetsLost, reportedFraction: reported.fractionLost, roundTrip: reported.roundTripTime,
      packetsReceived, packetsLost, packetsDiscarded, totalSamplesReceived, concealedSamples, silentConcealedSamples,
      insertedSamplesForDeceleration, removedSamplesForAcceleration, fecPacketsReceived,
      bufferMs: Math.round((1000 * jitterBufferDelay) / jitterBufferEmittedCount),
    };
  },
  // Forgets what was received; gives what was received since.
  forget() { PCM.length = 0; gaps = 0; },
  heard() {
    const length = PCM.reduce((sum, { samples }) => sum + samples.length, 0);
    const all = new Int16Array(length);
    let at = 0;
    for (const { samples } of PCM) { all.set(samples, at); at += samples.length; }
    const bytes = new Uint8Array(all.buffer);
    let text = '';
    for (let from = 0; from < bytes.length; from += 32768) text += String.fromCharCode(...bytes.subarray(from, from + 32768));
    return { rate: PCM[0]?.rate ?? 0, pcm: btoa(text) };
  },
};
