// Reads {frames, audio}: texts that this server sends to an application and to a program that takes its sound. For each library it runs a service on a loopback port, connects to it as
// the server does, and sends the first frame; the service then does everything that the library can express and ends.
// Prints, for each library: {protocol, frames (those that came back, by what caused them), errors, hooks, clashes}.
const http = require('http');
const {WebSocket} = require('ws');

// One of the libraries prints when it is loaded; what is printed here is JSON.
console.log = () => {};
const input = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const sid = '33333333-3333-4333-8333-333333333333';

const old = {
  create: require('@jambonz/node-client-ws').createEndpoint,
  script: (session, did) => {
    const steps = {
      'ack with verbs': () => session.answer().say({text: 'hi'}).conference({
        name: 'support-23', startConferenceOnEnter: true, endConferenceOnExit: true, memberTag: 'agent',
      }).send(),
      'redirect': () => session.conference({name: 'support-23', speakOnlyTo: 'agent'}).send(),
      'append': () => session.play({url: 'https://a.example.com/x.mp3'}).hangup().send({execImmediate: false}),
      'tag': () => session.injectCommand('conf:participant-action', {action: 'tag', tag: 'customer'}),
      'untag': () => session.injectCommand('conf:participant-action', {action: 'untag'}),
      'uncoach': () => session.injectCommand('conf:participant-action', {action: 'uncoach'}),
      'coach': () => session.injectCommand('conf:participant-action', {action: 'coach', tag: 'agent'}),
      'coach another call': () => session.injectCommand('conf:participant-action', {action: 'coach', tag: 'agent'}, sid),
      'mute': () => session.injectCommand('conf:participant-action', {action: 'mute'}),
      'hold': () => session.injectCommand('conf:participant-action', {action: 'hold'}),
      'call status word': () => session.injectCommand('call:status', 'completed'),
      'call status': () => session.injectCommand('call:status', {call_status: 'no-answer'}),
      'mute word': () => session.injectCommand('mute:status', 'mute'),
      'mute status': () => session.injectCommand('mute:status', {mute_status: 'unmute'}),
      'conference mute word': () => session.injectCommand('conf:mute-status', 'mute'),
      'conference mute': () => session.injectCommand('conf:mute-status', {conf_mute_status: 'unmute'}),
      'conference mute short': () => session.injectCommand('conf:mute-status', {mute_status: 'unmute'}),
      'conference hold word': () => session.injectCommand('conf:hold-status', 'hold'),
      'conference hold': () => session.injectCommand('conf:hold-status', {conf_hold_status: 'unhold', wait_hook: '/w'}),
      'listen word': () => session.injectCommand('listen:status', 'pause'),
      'listen': () => session.injectCommand('listen:status', {listen_status: 'silence'}),
      'whisper': () => session.injectCommand('whisper', {verb: 'say', text: 'psst'}, sid),
      'dtmf': () => session.injectCommand('dtmf', {digit: '5', duration: 300}),
      'dub': () => session.injectCommand('dub', {action: 'addTrack', track: 't', play: 'https://a.example.com/x.mp3', gain: '-10 dB'}),
      'record': () => session.injectCommand('record', {action: 'startCallRecording', siprecServerURL: 'sip:rec@example.com'}),
      'sip request': () => session.injectCommand('sip:request', {method: 'INFO', content_type: 'text/plain', content: 'x'}),
      'customer data': () => session.injectCommand('tag', {orderId: 7}),
      'redirect hook': () => session.injectCommand('redirect', {call_hook: '/next', child_call_hook: '/child'}),
      'media path': () => session.injectCommand('media:path', 'no-media'),
      'boost': () => session.injectCommand('boostAudioSignal', '3 dB'),
      'transcribe': () => session.injectCommand('transcribe:status', 'pause'),
      'tokens': () => { session.sendTtsTokens('hello').catch(() => {}); },
      'flush': () => session.sendCommand('tts:flush'),
      'clear': () => session.sendCommand('tts:clear'),
      'tool output': () => session.sendToolOutput('id', {result: 1}),
      'sip decline': () => session.sip_decline({status: 480, reason: 'Gone', headers: {'Retry-After': 300}}).send(),
      'sip refer': () => session.sip_refer({referTo: 'sip:200@example.com'}).send(),
      'agent': () => session.openai_s2s && session.openai_s2s({llmOptions: {}}).send(),
    };
    for (const [name, step] of Object.entries(steps)) {
      did(name);
      step();
    }
  },
};

const sdk = {
  create: require('@jambonz/sdk/websocket').createEndpoint,
  script: (session, did) => {
    const steps = {
      'ack with verbs': () => session.answer().say({text: 'hi'}).conference({
        name: 'support-23', startConferenceOnEnter: true, endConferenceOnExit: true, memberTag: 'agent',
      }).send(),
      'redirect': () => session.addVerbs([{verb: 'room', name: 'support-23', speakOnlyTo: 'agent'}]).send(),
      'append': () => session.play({url: 'https://a.example.com/x.mp3'}).hangup().send({execImmediate: false}),
      'tag': () => session.injectCommand('conf:participant-action', {action: 'tag', tag: 'customer'}),
      'untag': () => session.injectCommand('conf:participant-action', {action: 'untag'}),
      'uncoach': () => session.injectCommand('conf:participant-action', {action: 'uncoach'}),
      'coach': () => session.injectCommand('conf:participant-action', {action: 'coach', tag: 'agent'}),
      'coach another call': () => session.injectCommand('conf:participant-action', {action: 'coach', tag: 'agent'}, sid),
      'kick': () => session.injectCommand('conf:participant-action', {action: 'kick'}),
      'hold': () => session.injectCommand('conf:participant-action', {action: 'hold', wait_hook: '/w'}),
      'mute status': () => session.injectMute('unmute', sid),
      'conference mute': () => session.injectCommand('conf:mute-status', {conf_mute_status: 'unmute'}),
      'empty': () => session.injectCommand('conf:mute-status', 'unmute'),
      'listen': () => session.injectListenStatus('silence'),
      'whisper': () => session.injectWhisper({verb: 'say', text: 'psst'}, sid),
      'whisper two': () => session.injectWhisper([{verb: 'say', text: 'a'}, {verb: 'play', url: '/b.mp3'}]),
      'room say': () => session.injectSay({text: 'hello room', id: 's1', replace: true}),
      'room play': () => session.injectPlay({url: 'tone_stream://x', id: 'p1'}),
      'dtmf': () => session.injectDtmf('5', 300),
      'record': () => session.injectRecord('stopCallRecording'),
      'customer data': () => session.injectTag({orderId: 7}),
      'redirect hook': () => session.injectRedirect('/next'),
      'noise': () => session.injectNoiseIsolation('enable', {}),
      'reconfigure': () => session.injectSttReconfigure({languageHints: []}),
      'tokens': () => { session.sendTtsTokens('hello').catch(() => {}); },
      'clear': () => session.clearTtsTokens(),
      'tool output': () => session.sendToolOutput('id', 1),
      'update llm': () => session.updateLlm({}),
      'update agent': () => session.updateAgent({type: 'generate_reply'}),
      'sip decline': () => session.sipDecline({status: 480}).send(),
      'sip refer': () => session.sipRefer({referTo: 'sip:200@example.com'}).send(),
      'empty redirect': () => session.send(),
    };
    for (const [name, step] of Object.entries(steps)) {
      did(name);
      step();
    }
  },
};

const own = (object) => {
  const names = new Set(['ws', 'locals', 'logger', 'msgid', 'b3', 'payload', 'call_sid', 'data']);
  for (let level = object; level && level !== Object.prototype; level = Object.getPrototypeOf(level)) {
    for (const name of Object.getOwnPropertyNames(level)) if (typeof object[name] === 'function') names.add(name);
  }
  return names;
};

const run = (library) => new Promise((resolve, reject) => {
  const server = http.createServer();
  const causes = [];
  const errors = [];
  const hooks = [];
  let clashes = [];
  const logger = {info() {}, debug() {}, error: (...what) => errors.push(what.map(String).join(' ')), warn() {}};
  logger.child = () => logger;
  const makeService = library.create({server, logger});
  makeService({path: '/app'}).on('session:new', (session) => {
    const first = JSON.parse(input.frames[0]);
    const names = own(Object.getPrototypeOf(session));
    // What of the data would take the place of something that the library needs.
    clashes = Object.keys(first.data).filter((key) => names.has(key) && key !== 'call_sid');
    const send = session.ws.send.bind(session.ws);
    let cause = null;
    session.ws.send = (text) => {
      causes.push(cause);
      send(text);
    };
    session.on('jambonz:error', (data) => hooks.push(['jambonz:error', data.msg]));
    session.on('call:status', (data) => hooks.push(['call:status', data.call_status]));
    session.on('verb:status', (data) => hooks.push(['verb:status', data.event]));
    session.on('/done', (data) => {
      hooks.push(['/done', data.call_sid]);
      cause = 'reply';
      session.reply();
    });
    library.script(session, (name) => { cause = name; });
    cause = 'hook';
  });
  server.listen(0, '127.0.0.1', () => {
    const socket = new WebSocket(`ws://127.0.0.1:${server.address().port}/app`, 'ws.jambonz.org');
    const frames = [];
    socket.on('error', reject);
    socket.on('open', () => input.frames.forEach((frame) => socket.send(frame)));
    socket.on('message', (data) => {
      frames.push([causes[frames.length], data.toString()]);
      // The last frame is a hook that nobody listens for; its ack is the last answer.
      if (JSON.parse(data).msgid === 'last') socket.close(1000);
    });
    socket.on('close', () => {
      server.close();
      server.closeAllConnections?.();
      resolve({protocol: socket.protocol, frames, errors, hooks, clashes});
    });
  });
});

// The sound service of the newer library: what it sends, and what it makes of what it is sent.
const sound = () => new Promise((resolve, reject) => {
  const server = http.createServer();
  const frames = [];
  const events = [];
  let metadata = null;
  sdk.create({server}).audio({path: '/audio'}).on('connection', (stream) => {
    metadata = [stream.metadata, stream.callSid, stream.sampleRate];
    for (const event of ['dtmf', 'playDone', 'mark']) stream.on(event, (data) => events.push([event, data]));
    stream.on('audio', (pcm) => {
      events.push(['audio', pcm.length]);
      stream.playAudio('AAAA', {id: 'one', queuePlay: true});
      stream.playAudio('AAAA', {audioContentType: 'wav', sampleRate: 16000});
      stream.killAudio();
      stream.sendMark('after');
      stream.clearMarks();
      stream.disconnect();
    });
  });
  server.listen(0, '127.0.0.1', () => {
    const socket = new WebSocket(`ws://127.0.0.1:${server.address().port}/audio`, 'audio.drachtio.org');
    socket.on('error', reject);
    socket.on('open', () => {
      input.audio.forEach((frame) => socket.send(frame));
      socket.send(Buffer.alloc(320));
    });
    socket.on('message', (data) => {
      frames.push(data.toString());
      if (JSON.parse(data).type === 'disconnect') socket.close(1000);
    });
    socket.on('close', () => {
      server.close();
      resolve({protocol: socket.protocol, frames, events, metadata});
    });
  });
});

(async() => {
  const result = {old: await run(old), sdk: await run(sdk), sound: await sound()};
  process.stdout.write(JSON.stringify(result), () => process.exit(0));
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
