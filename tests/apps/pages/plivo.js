// A phone made with Plivo's browser SDK, unmodified: only its own option for the server list is set. The test speaks to `window.phone`.
const state = { registered: false, failed: null, call: null, cause: null, headers: {}, ringing: false };
let client;

const start = (websocket) => {
  const made = new window.Plivo({
    debug: 'WARN', permOnClick: false, enableTracking: false, closeProtection: false, registrationDomainSocket: [websocket],
    audioConstraints: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
    enableNoiseReduction: false, clientRegion: null,
  });
  client = made.client;
  client.on('onLogin', () => { state.registered = true; });
  client.on('onLoginFailed', (reason) => { state.failed = String(reason); });
  client.on('onPermissionDenied', (reason) => { state.denied = String(reason); });
  client.on('onLogout', () => { state.registered = false; });
  client.on('onIncomingCall', (caller, headers, call) => {
    state.ringing = true;
    state.call = 'incoming';
    state.headers = { ...headers };
    state.caller = caller;
    state.incoming = call?.callUUID ?? null;
  });
  client.on('onCalling', () => { state.call = 'connecting'; });
  client.on('onCallRemoteRinging', () => { state.call = 'ringing'; });
  client.on('onCallAnswered', (info) => { state.call = 'live'; state.headers.uuid = info?.callUUID ?? client.getCallUUID(); });
  client.on('onCallTerminated', (reason) => { state.call = 'ended'; state.cause = String(reason?.reason ?? reason); });
  client.on('onCallFailed', (reason) => { state.call = 'failed'; state.cause = String(reason); });
};

window.phone = {
  state,
  start: ({ websocket, user, password }) => { start(websocket); client.login(user, password); },
  startWithToken: ({ websocket, token }) => { start(websocket); client.loginWithAccessToken(token); },
  call: (target, headers = {}) => client.call(target, headers),
  answer: () => client.answer(state.incoming, 'letMeSee'),
  // What a page of somebody else's making would do.
  ignoreGrants: () => { client.isOutgoingGrant = true; },
  dtmf: (tone) => client.sendDtmf(tone),
  mute: (on) => (on ? client.mute() : client.unmute()),
  hangUp: () => client.hangup(),
  disconnect: () => client.logout(),
};
