// A server for the console's tests: its files under the strict content security policy, and /api/v1 from a scene that a test directs.
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const FILES = fileURLToPath(new URL('../../console/', import.meta.url));
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };
const HEADERS = {
  'content-security-policy': "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'",
  'permissions-policy': 'microphone=(self)', 'cache-control': 'no-cache',
};

/** Calls without sound: each is live as soon as its credentials are there, and ends when it is hung up. */
const CALLS = `
export class Call extends EventTarget {
  static place(agent, target, { microphone }) { return Call.join(async () => {}, { microphone }); }
  static join(redeem, { microphone }) {
    const call = window.__call = Object.assign(new Call(), { microphone });
    microphone.open().then(redeem).then(() => call.become('live'), (error) => call.end({ reason: 'refused', text: error.message }));
    return call;
  }
  state = 'microphone'; ended = null; muted = false; startedAt = null; early = false; remote = {};
  become(state) { this.state = state; this.startedAt ??= Date.now(); this.dispatchEvent(new Event('change')); }
  end(how) { if (this.ended) return; this.ended = how; this.microphone.close(); this.become('ended'); }
  hangUp() { this.end({ reason: 'hung_up', text: 'You ended the call.' }); }
  setMuted(muted) { this.muted = muted; this.become(this.state); }
  async setSpeaker(id) { this.speaker = id; }
}`;

/** Starts it on a free port of the loopback. */
export async function fakeServer() {
  const scene = new Scene();
  const server = createServer((request, response) => answer(scene, request, response).catch((error) => { response.writeHead(500).end(String(error)); }));
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  return Object.assign(scene, { origin: `http://127.0.0.1:${server.address().port}`, close: () => { scene.end(); server.closeAllConnections(); server.close(); } });
}

/** What the server knows, and the streams that are open. */
class Scene {
  #streams = new Set();
  /** Answer of GET /session, or a status. */
  session = 401;
  overview = { tick_at: new Date().toISOString(), rooms: [], more: 0 };
  /** The state of the one live room, or null. */
  room = null;
  log = [];
  /** Answers to commands: (request) → { status, body }; requests are kept in `asked`. */
  command = () => ({ status: 404, body: { status: 404, title: 'Not Found', detail: 'nothing here' } });
  asked = [];
  /** Calls are without sound and need no SIP. */
  silent = true;
  /** New streams are refused with this status. */
  refuse = null;
  /** Whether streams show signs of life. */
  alive = true;
  #pings = setInterval(() => { if (this.alive) for (const kind of ['overview', 'room']) this.send(kind, 'ping', {}); }, 1_000);

  send(kind, name, data) {
    for (const stream of this.#streams) if (stream.kind === kind) stream.response.write(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  show(room) {
    this.room = room;
    this.send('room', 'room', room);
  }

  end() {
    clearInterval(this.#pings);
    this.cut();
  }

  cut() {
    for (const { response } of this.#streams) response.destroy();
    this.#streams.clear();
  }

  open(kind, request, response) {
    const stream = { kind, response };
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    this.#streams.add(stream);
    request.on('close', () => this.#streams.delete(stream));
    if (kind === 'overview') return this.send('overview', 'rooms', this.overview);
    response.write(`event: room\ndata: ${JSON.stringify(this.room)}\n\n`);
    for (const line of this.log) response.write(`event: log\ndata: ${JSON.stringify(line)}\n\n`);
  }
}

async function answer(scene, request, response) {
  const url = new URL(request.url, 'http://console');
  if (url.pathname.startsWith('/api/v1/')) return api(scene, request, response, url);
  if (url.pathname === '/console/lib/call.js' && scene.silent) return response.writeHead(200, { ...HEADERS, 'content-type': TYPES['.js'] }).end(CALLS);
  const path = { '/console': 'app/index.html', '/phone': 'phone/index.html' }[url.pathname] ?? normalize(url.pathname).replace(/^\/console\//, '');
  try {
    const body = await readFile(join(FILES, path));
    response.writeHead(200, { ...HEADERS, 'content-type': TYPES[extname(path)] ?? 'application/octet-stream' }).end(body);
  } catch {
    response.writeHead(404, HEADERS).end();
  }
}

async function api(scene, request, response, url) {
  const json = (status, body) => response.writeHead(status, { 'content-type': status < 400 ? 'application/json' : 'application/problem+json' }).end(JSON.stringify(body));
  const problem = (status, detail) => json(status, { status, title: 'Problem', detail });
  const path = url.pathname.slice('/api/v1'.length);
  const signsIn = request.method === 'POST' && path === '/session';
  if (!signsIn && !path.startsWith('/phone/') && !request.headers.authorization?.startsWith('Bearer ')) return problem(401, 'no key');
  if (path === '/session' && !signsIn) return typeof scene.session === 'number' ? problem(scene.session, 'this key is not known') : json(200, scene.session);
  const stream = path === '/overview/stream' ? 'overview' : path.endsWith('/live') ? 'room' : null;
  if (stream && scene.refuse) return problem(scene.refuse, 'refused for the test');
  if (stream === 'room' && !scene.room) return problem(404, 'there is no live room of this name in this account; it may have ended');
  if (stream) return scene.open(stream, request, response);
  let body = '';
  for await (const part of request) body += part;
  const asked = { method: request.method, path, query: url.searchParams, body: body ? JSON.parse(body) : null };
  scene.asked.push(asked);
  const { status, body: said } = await scene.command(asked);
  json(status, said);
}
