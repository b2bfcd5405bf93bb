// Everything that jambonz's official packages can do to a call, driven by one JSON object per line: applications by WebSocket (@jambonz/sdk and
// @jambonz/node-client-ws), applications by HTTP (@jambonz/sdk and @jambonz/node-client), REST programs (@jambonz/sdk and @jambonz/node-client).
//
// Environment: BASE_URL, ACCOUNT_SID, API_KEY, WEBHOOK_SECRET.

import './jambonz-listen.mjs';
import http from 'node:http';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import express from 'express';
import { JambonzClient } from '@jambonz/sdk/client';
import { createEndpoint } from '@jambonz/sdk/websocket';
import { WebhookResponse as SdkResponse } from '@jambonz/sdk/webhook';

const require = createRequire(import.meta.url);
// One of the packages prints what it loads; standard output belongs to this program's own lines.
console.log = (...words) => console.error(...words);
const oldSockets = require('@jambonz/node-client-ws');
const nodeClient = require('@jambonz/node-client');

const { BASE_URL, ACCOUNT_SID, API_KEY, WEBHOOK_SECRET } = process.env;
const report = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const quiet = { info() {}, error() {}, debug() {}, child() { return quiet; } };

// --- what the applications answer ---------------------------------------------------------------------------------------------

// Verbs by path or hook: [["conference", {…}], …], the names as the packages' methods have them.
const scripts = new Map();
const run = (app, verbs) => verbs.reduce((built, [verb, options]) => built[verb](options), app);

// The guide's own documents.
const guide = {
  '/guide/agent': (app) =>
    app.conference({
      name: 'support-conference-23',
      startConferenceOnEnter: true,
      endConferenceOnExit: true,
      memberTag: 'agent'
    }),
  '/guide/manager': (app) =>
    app.conference({
      name: 'support-conference-23',
      speakOnlyTo: 'agent'
    }),
  // Nobody in particular: the customer of the guide's story.
  '/guide/customer': (app) => app.conference({ name: 'support-conference-23' }),
};

// The guide's own commands.
const snippets = {
  tag: (session) => {
    // change a participant's member tag value
    session.injectCommand('conf:participant-action', {
      action: 'tag',
      tag: 'customer'
    });
  },
  untag: (session) => {
    // remove a particpant's member tag
    session.injectCommand('conf:participant-action', {
      action: 'untag'
    });
  },
  uncoach: (session) => {
    // make manager's audio heard by everyone
    session.injectCommand('conf:participant-action', {
      action: 'uncoach'
    });
  },
  coach: (session) => {
    // put a participant into coach mode
    session.injectCommand('conf:participant-action', {
      action: 'coach', tag: 'agent'
    });
  },
};

const document = (path, app) => (guide[path] ? guide[path](app) : run(app, scripts.get(path) ?? []));

// --- applications by WebSocket -------------------------------------------------------------------------------------------------

const sessions = { sdk: new Map(), ws: new Map() };
const ports = {};

function attend(library, session, path) {
  const callSid = library === 'sdk' ? session.callSid : session.call_sid;
  sessions[library].set(callSid, session);
  report({ session: { library, path, call_sid: callSid } });
  for (const hook of scripts.keys()) {
    session.on(hook, () => {
      run(session, scripts.get(hook));
      session.reply();
    });
  }
  session.on('error', (error) => report({ failed: String(error) }));
  document(path, session);
  session.send();
}

async function listens(name, server) {
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  ports[name] = server.address().port;
}

const sdkServer = http.createServer();
createEndpoint({ server: sdkServer, logger: quiet, envVars: { ROOM_NAME: { type: 'string', description: 'The room', default: 'lobby' } } })({ path: '*' })
  .on('session:new', (session, path, request) => attend('sdk', session, request.url));
await listens('sdk', sdkServer);

const oldServer = http.createServer();
oldSockets.createEndpoint({ server: oldServer, logger: quiet })({ path: '*' })
  .on('session:new', (session, path) => attend('ws', session, path));
await listens('ws', oldServer);

// --- applications by HTTP ------------------------------------------------------------------------------------------------------

function webhooks(library, Response, signed) {
  const app = express();
  app.use(express.json());
  app.use(signed);
  app.use((request, response) => {
    report({ request: { library, path: request.path, method: request.method, verified: true, body: request.body ?? null } });
    const built = new Response();
    document(request.path, built);
    // A hook for which nothing is written has nothing to say.
    if (built.length === 0) return response.sendStatus(200);
    response.status(200).json(built);
  });
  app.use((error, request, response, next) => {
    report({ request: { library, path: request.path, method: request.method, verified: false, error: String(error.message), body: request.body ?? null } });
    if (response.headersSent) return next(error);
    response.sendStatus(403);
  });
  return http.createServer(app);
}

await listens('sdkHook', webhooks('sdk', SdkResponse, SdkResponse.verifySignature(WEBHOOK_SECRET)));
await listens('nodeHook', webhooks('node', nodeClient.WebhookResponse, nodeClient.WebhookResponse.verifyJambonzSignature(WEBHOOK_SECRET)));

// --- REST programs -------------------------------------------------------------------------------------------------------------

const clients = {
  sdk: new JambonzClient({ baseUrl: BASE_URL, accountSid: ACCOUNT_SID, apiKey: API_KEY }),
  node: nodeClient(ACCOUNT_SID, API_KEY, { baseUrl: BASE_URL }),
};

async function rest({ client, operation, arguments: given }) {
  const path = operation.split('.');
  const name = path.pop();
  const owner = path.reduce((object, part) => object[part], clients[client]);
  return (await owner[name](...(given ?? []))) ?? null;
}

const session = ({ library, call_sid: callSid }) => {
  const found = sessions[library].get(callSid);
  if (!found) throw new Error(`no session of ${callSid} with ${library}`);
  return found;
};

const operations = {
  script({ path, verbs }) { scripts.set(path, verbs); },
  snippet(order) { snippets[order.name](session(order)); },
  inject(order) { session(order).injectCommand(order.command, order.data, order.target); },
  // Any method of a session, such as injectSay.
  method(order) { session(order)[order.name](...(order.arguments ?? [])); },
  send(order) {
    const of = session(order);
    run(of, order.verbs);
    of.send({ execImmediate: order.immediate ?? true });
  },
  close(order) { session(order).close(); },
  rest,
};

createInterface({ input: process.stdin }).on('line', async (line) => {
  const order = JSON.parse(line);
  try {
    const result = (await operations[order.op](order)) ?? null;
    report({ id: order.id, result });
  } catch (error) {
    report({ id: order.id, error: { name: error?.name, status: error?.statusCode, message: String(error?.message ?? error) } });
  }
});

report({ ready: true, ports });
