// A phone made with JsSIP, as its documentation shows. The test speaks to `window.phone`.
import JsSIP from 'jssip';

let ua, session;
const state = { registered: false, failed: null, call: null, cause: null, held: false, headers: {}, ringing: false, dtmf: [] };

const follow = (made) => {
  session = made;
  state.call = 'connecting';
  const play = (connection) => connection.addEventListener('track', ({ streams }) => { document.querySelector('audio').srcObject = streams[0]; });
  if (session.connection) play(session.connection);
  session.on('peerconnection', ({ peerconnection }) => play(peerconnection));
  session.on('progress', ({ response }) => { state.call = 'ringing'; if (response) state.headers.uuid = response.getHeader('X-CallUUID'); });
  session.on('accepted', ({ response }) => { if (response) state.headers.uuid = response.getHeader('X-CallUUID'); });
  session.on('confirmed', () => { state.call = 'live'; });
  session.on('hold', () => { state.held = true; });
  session.on('unhold', () => { state.held = false; });
  session.on('newDTMF', ({ originator, dtmf }) => { if (originator === 'remote') state.dtmf.push(dtmf.tone); });
  session.on('ended', ({ cause }) => { state.call = 'ended'; state.cause = cause; });
  session.on('failed', ({ cause }) => { state.call = 'failed'; state.cause = cause; });
};

window.phone = {
  state,
  start({ websocket, user, password, domain }) {
    ua = new JsSIP.UA({ sockets: [new JsSIP.WebSocketInterface(websocket)], uri: `sip:${user}@${domain}`, password, register: true, register_expires: 120 });
    ua.on('registered', () => { state.registered = true; });
    ua.on('unregistered', () => { state.registered = false; });
    ua.on('registrationFailed', ({ cause }) => { state.failed = cause; });
    ua.on('newRTCSession', ({ originator, session: made, request }) => {
      follow(made);
      if (originator === 'remote') {
        state.ringing = true;
        state.call = 'incoming';
        state.headers.uuid = request.getHeader('X-CallUUID');
        state.headers.extra = request.getHeader('X-PH-Note');
      }
    });
    ua.start();
  },
  call: (target, headers = []) => { ua.call(target, { mediaConstraints: { audio: plain, video: false }, extraHeaders: headers, pcConfig: { iceServers: [] } }); },
  answer: () => session.answer({ mediaConstraints: { audio: plain, video: false }, pcConfig: { iceServers: [] } }),
  hold: (on) => (on ? session.hold() : session.unhold()),
  dtmf: (tone) => session.sendDTMF(tone, { transportType: 'INFO' }),
  event: (tone) => session.sendDTMF(tone, { transportType: 'RFC2833' }),
  refer: (target) => session.refer(target, {
    eventHandlers: { accepted: () => { state.referred = 200; }, failed: () => { state.referred = 'failed'; }, requestFailed: ({ cause }) => { state.referred = cause; } },
  }),
  hangUp: () => session.terminate(),
  mute: (on) => (on ? session.mute({ audio: true }) : session.unmute({ audio: true })),
  disconnect: () => ua.stop(),
};

// Tones are what these cancel.
const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
