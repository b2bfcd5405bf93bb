// A phone made with SIP.js, as its documentation shows. The test speaks to `window.phone`.
import { Inviter, Registerer, SessionState, UserAgent } from 'sip.js';

let ua, session;
const state = { registered: false, failed: null, call: null, cause: null, held: false, headers: {}, ringing: false };
const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
const media = { sessionDescriptionHandlerOptions: { constraints: { audio: plain, video: false } } };

const follow = (made) => {
  session = made;
  session.stateChange.addListener((now) => {
    if (now === SessionState.Establishing) state.call = 'connecting';
    if (now === SessionState.Established) {
      state.call = 'live';
      const audio = document.querySelector('audio');
      audio.srcObject = session.sessionDescriptionHandler.remoteMediaStream;
      audio.play();
    }
    if (now === SessionState.Terminated) state.call = 'ended';
  });
};

const headerOf = (response, name) => response?.message?.getHeader(name) ?? null;

const hold = async (on) => {
  session.sessionDescriptionHandlerOptionsReInvite = { ...session.sessionDescriptionHandlerOptionsReInvite, hold: on };
  await session.invite({
    requestDelegate: { onAccept: () => { state.held = on; }, onReject: () => { state.failed = 'hold'; } },
  });
  const { peerConnection } = session.sessionDescriptionHandler;
  for (const { track } of peerConnection.getSenders()) if (track) track.enabled = !on;
  for (const { track } of peerConnection.getReceivers()) if (track) track.enabled = !on;
};

window.phone = {
  state,
  async start({ websocket, user, password, domain }) {
    ua = new UserAgent({
      uri: UserAgent.makeURI(`sip:${user}@${domain}`), authorizationUsername: user, authorizationPassword: password, logLevel: 'warn',
      transportOptions: { server: websocket },
      sessionDescriptionHandlerFactoryOptions: { peerConnectionConfiguration: { iceServers: [] }, iceGatheringTimeout: 500 },
      delegate: {
        onInvite: (invitation) => {
          follow(invitation);
          state.ringing = true;
          state.call = 'incoming';
          state.headers.uuid = invitation.request.getHeader('X-CallUUID');
          state.headers.extra = invitation.request.getHeader('X-PH-Note');
        },
      },
    });
    await ua.start();
    const registerer = new Registerer(ua, { expires: 120 });
    registerer.stateChange.addListener((now) => { state.registered = now === 'Registered'; });
    await registerer.register({ requestDelegate: { onReject: (response) => { state.failed = response.message.statusCode; } } });
  },
  async call(target, headers = []) {
    follow(new Inviter(ua, UserAgent.makeURI(target), { ...media, extraHeaders: headers }));
    const seen = (response) => { state.headers.uuid ??= headerOf(response, 'X-CallUUID'); };
    await session.invite({ requestDelegate: { onProgress: seen, onAccept: seen, onReject: (response) => { state.cause = response.message.statusCode; } } });
  },
  answer: () => session.accept(media),
  hold,
  dtmf: (tone) => session.info({
    requestOptions: { body: { contentDisposition: 'render', contentType: 'application/dtmf-relay', content: `Signal=${tone}\r\nDuration=160` } },
  }),
  event: (tone) => session.sessionDescriptionHandler.sendDtmf(tone),
  refer: (target) => session.refer(UserAgent.makeURI(target), {
    requestDelegate: { onReject: (response) => { state.referred = response.message.statusCode; } },
    onNotify: (notification) => {
      notification.accept();
      const status = Number(/^SIP\/2.0 (\d+)/.exec(notification.request.body)?.[1]);
      if (status >= 200) state.referred = status;
    },
  }),
  hangUp: () => (session.state === SessionState.Established ? session.bye() : session.reject?.() ?? session.cancel()),
  disconnect: () => ua.stop(),
};
