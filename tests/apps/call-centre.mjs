// A call centre with supervisor coaching, written against Plivo's own Node library.
//
// A customer calls the hotline and waits with music; as soon as his call is open, an agent is dialled. The agent can fetch a supervisor, and a
// supervisor can come by himself: he hears both and is heard by the agent alone, until he decides to talk to the customer as well.
//
// Environment: PLIVO_AUTH_ID and PLIVO_AUTH_TOKEN; PORT; PUBLIC_URL or PUBLIC_HOST, under which the voice server reaches this program;
// AGENT and SUPERVISOR, the SIP addresses that are dialled; ROOM, the name of the call; SOUNDS=none to enter and leave without beeps.
// To use a server of your own instead of Plivo's: https_proxy=http://FRONT-DOOR NODE_EXTRA_CA_CERTS=ca.pem.

import express from 'express';
import plivo from 'plivo';

const { PLIVO_AUTH_ID, PLIVO_AUTH_TOKEN } = process.env;
const AGENT = process.env.AGENT ?? 'sip:agent@phone.plivo.com';
const SUPERVISOR = process.env.SUPERVISOR ?? 'sip:supervisor@phone.plivo.com';
const ROOM = process.env.ROOM ?? 'hotline';
const SOUNDS = process.env.SOUNDS === 'none' ? { enterSound: 'none', exitSound: 'none' } : {};

const client = new plivo.Client(PLIVO_AUTH_ID, PLIVO_AUTH_TOKEN);
const app = express();
app.use(express.urlencoded({ extended: false }));

let publicUrl = process.env.PUBLIC_URL;
const report = (line) => console.log(JSON.stringify(line));
const parameters = (request) => ({ ...request.query, ...request.body });

// Takes requests only from the voice server: it signs each one with the account's token.
function signed(request, response, next) {
  const url = publicUrl + request.originalUrl;
  const body = request.method === 'POST' ? (request.body ?? {}) : {};
  const header = (name) => request.get(name) ?? '';
  const v3 = plivo.validateV3Signature(
    request.method, url, header('X-Plivo-Signature-V3-Nonce'), PLIVO_AUTH_TOKEN, header('X-Plivo-Signature-V3'), { ...body });
  const v2 = plivo.validateSignature(url, header('X-Plivo-Signature-V2-Nonce'), header('X-Plivo-Signature-V2'), PLIVO_AUTH_TOKEN);
  report({ webhook: request.path, method: request.method, v3, v2, params: parameters(request) });
  if (!v3 || !v2) return response.status(403).end();
  next();
}

function joins(response, attributes, coachMode) {
  const document = new plivo.Response();
  const call = document.addMultiPartyCall(ROOM, attributes);
  // The library's builder takes both false and "false" for a mistake and writes true: the attribute is set on the element itself.
  if (coachMode !== undefined) call.elem.att('coachMode', coachMode);
  response.type('application/xml').send(document.toXML());
}

// A failed request to the voice server is reported, and answered, not lost.
const guarded = (handler) => (request, response) =>
  handler(request, response).catch((error) => {
    report({ failed: request.path, error: String(error.message ?? error) });
    if (!response.headersSent) response.status(502).json({ error: String(error.message ?? error) });
  });

// The customer calls.
app.all('/add/customer/', signed, (request, response) => joins(response, {
  role: 'Customer',
  statusCallbackUrl: `${publicUrl}/add/agent/`,
  statusCallbackMethod: 'POST',
  waitMusicUrl: `${publicUrl}/music/wait.wav`,
  waitMusicMethod: 'GET',
  ...SOUNDS,
}));

// His call is open: dial the agent.
app.all('/add/agent/', signed, guarded(async (request, response) => {
  const { EventName, MPCUUID, ParticipantCallFrom } = parameters(request);
  response.status(200).end();
  if (EventName !== 'MPCInitialized') return;
  const added = await client.multiPartyCalls.addParticipant('Agent', {
    uuid: MPCUUID,
    from: ParticipantCallFrom,
    to: AGENT,
    statusCallbackUrl: `${publicUrl}/agent/callback/`,
    statusCallbackMethod: 'POST',
    ...SOUNDS,
  });
  report({ added: 'Agent', calls: added.calls });
}));

app.all('/agent/callback/', signed, (request, response) => response.status(200).end());

// The agent clicks "fetch a supervisor".
app.post('/add_supervisor/:mpcUuid', guarded(async (request, response) => {
  const added = await client.multiPartyCalls.addParticipant('Supervisor', {
    uuid: request.params.mpcUuid,
    from: '14155550100',
    to: SUPERVISOR,
    statusCallbackUrl: `${publicUrl}/supervisor/callback/`,
    statusCallbackMethod: 'POST',
    enterSound: 'none',
    exitSound: 'none',
  });
  report({ added: 'Supervisor', calls: added.calls });
  response.json({ calls: added.calls });
}));

const supervises = (response, coachMode) => joins(response, {
  role: 'Supervisor',
  statusCallbackUrl: `${publicUrl}/supervisor/callback/`,
  statusCallbackMethod: 'POST',
  enterSound: 'none',
  exitSound: 'none',
}, coachMode);

// A supervisor calls: only the agent hears him.
app.all('/coach_the_agent/', signed, (request, response) => supervises(response, 'true'));

// A supervisor calls: everybody hears him.
app.all('/talk_to_customer/', signed, (request, response) => supervises(response, 'false'));

app.all('/supervisor/callback/', signed, (request, response) => response.status(200).end());

// A supervisor who is in clicks "talk to both" or "to the agent only".
app.post('/supervisor/:mpcUuid/:memberId/:to', guarded(async (request, response) => {
  const { mpcUuid, memberId, to } = request.params;
  const coachMode = to === 'agent' ? 'true' : 'false';
  response.json(await client.multiPartyCalls.updateParticipant(memberId, { uuid: mpcUuid, coachMode }));
}));

// A supervisor who is in clicks "take me to /talk_to_customer/": his call fetches other instructions, nobody dials again.
app.post('/transfer/:callUuid/:task', guarded(async (request, response) => {
  const { callUuid, task } = request.params;
  const moved = await client.calls.transfer(callUuid, { legs: 'aleg', alegUrl: `${publicUrl}/${task}/`, alegMethod: 'POST' });
  response.json({ message: moved.message });
}));

app.all('/hangup/', signed, (request, response) => response.status(200).end());

// Two seconds of a quiet tone, repeated while the customer waits.
app.get('/music/wait.wav', (request, response) => {
  const rate = 8000, seconds = 2, hertz = 600, peak = 3276;
  const file = Buffer.alloc(44 + 2 * rate * seconds);
  file.write('RIFF', 0);
  file.writeUInt32LE(file.length - 8, 4);
  file.write('WAVEfmt ', 8);
  file.writeUInt32LE(16, 16);
  file.writeUInt16LE(1, 20);
  file.writeUInt16LE(1, 22);
  file.writeUInt32LE(rate, 24);
  file.writeUInt32LE(2 * rate, 28);
  file.writeUInt16LE(2, 32);
  file.writeUInt16LE(16, 34);
  file.write('data', 36);
  file.writeUInt32LE(file.length - 44, 40);
  for (let i = 0; i < rate * seconds; i++) file.writeInt16LE(Math.round(peak * Math.sin((2 * Math.PI * hertz * i) / rate)), 44 + 2 * i);
  response.type('audio/wav').send(file);
});

const listener = app.listen(Number(process.env.PORT ?? 5000), process.env.BIND ?? '127.0.0.1', () => {
  const { port } = listener.address();
  publicUrl ??= `http://${process.env.PUBLIC_HOST ?? 'callcenter.test'}:${port}`;
  report({ port, url: publicUrl });
});
