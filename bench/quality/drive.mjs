// Carries recorded speech from one Chromium to another, directly or through a room of Aside, with an impaired network on one side, and keeps what
// arrives: `OUT/PATH.wav` and `OUT/PATH.json` for each path.
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { createServer as createTcpServer } from 'node:net';
import { loadavg, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = resolve(HERE, '../..');
const MODULES = join(ROOT, 'tests');
const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';
const ASIDE = process.env.ASIDE_BIN ?? join(ROOT, 'target/release/aside');
const BENCH = process.env.BENCH_BIN ?? join(ROOT, 'target/release/bench');
const DOMAIN = 'phone.plivo.com';
const PASSWORD = 'a-password-of-the-bench-1';
const PATIENCE = 40_000;
// A browser that was kept from its sound in time leaves gaps: with more than so many a run tells of the machine, not of the path, and is made again.
const GAPS = 20;
const RUNS = 4;
// Which leg the network is on; `clean` paths have none and tell what the path alone costs.
const PATHS = {
  direct: { room: false, impaired: 'talker' },
  'room-up': { room: true, impaired: 'talker' },
  'room-down': { room: true, impaired: 'listener' },
  'direct-clean': { room: false, impaired: null },
  'room-clean': { room: true, impaired: null },
};

const { values: options } = parseArgs({
  options: {
    paths: { type: 'string', default: 'direct,room-up,room-down' },
    sentences: { type: 'string' },
    out: { type: 'string' },
    loss: { type: 'string', default: '5' },
    jitter: { type: 'string', default: '30' },
    seed: { type: 'string', default: '1' },
    bitrate: { type: 'string' },
    complexity: { type: 'string' },
  },
});

const { chromium } = createRequire(join(MODULES, 'package.json'))('playwright-core');

const rest = (ms) => new Promise((done) => setTimeout(done, ms));

const until = async (what, ready, ms = PATIENCE) => {
  const end = Date.now() + ms;
  for (;;) {
    const value = await ready();
    if (value) return value;
    if (Date.now() > end) throw new Error(`in vain: ${what}`);
    await rest(50);
  }
};

// A program that tells what it is about in its first line of JSON.
const start = async (program, args, more = {}) => {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'], ...more });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  for (;;) {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${program} ended`);
    if (value.trim().startsWith('{')) return { child, lines, told: JSON.parse(value) };
  }
};

const relay = async (seed, farPeer) => {
  const args = ['relay', '--loss', options.loss, '--jitter', options.jitter, '--seed', String(seed)];
  if (farPeer) args.push('--far-peer', farPeer);
  const { child, lines, told } = await start(BENCH, args);
  return {
    ...told,
    async end() {
      child.stdin.end();
      return JSON.parse((await lines.next()).value);
    },
  };
};

const freePort = () => new Promise((done) => {
  const server = createTcpServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    server.close(() => done(port));
  });
});

// The page, and the application whose document puts every caller into one room.
const site = async () => {
  const bundler = join(MODULES, 'node_modules/.bin/esbuild');
  const bundle = spawnSync(bundler, ['--bundle', '--format=iife', '--log-level=error', join(HERE, 'call.js')], {
    env: { ...process.env, NODE_PATH: join(MODULES, 'node_modules') }, maxBuffer: 1 << 26,
  });
  if (bundle.status !== 0) throw new Error(`the page cannot be bundled: ${bundle.stderr}`);
  const room = '<Response><MultiPartyCall role="Agent" enterSound="none" exitSound="none">quality</MultiPartyCall></Response>';
  const server = createServer((request, response) => {
    const [type, body] = request.url.startsWith('/answer') ? ['application/xml', room]
      : request.url.startsWith('/call.js') ? ['text/javascript; charset=utf-8', bundle.stdout]
        : ['text/html; charset=utf-8', readFileSync(join(HERE, 'page.html'))];
    request.resume();
    response.writeHead(200, { 'content-type': type }).end(body);
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
};

// A server with two endpoints whose calls lead to that room.
const house = async (pages) => {
  const folder = mkdtempSync(join(tmpdir(), 'aside-quality-'));
  const media = await freePort();
  const config = join(folder, 'aside.toml');
  writeFileSync(config, `
[server]
data_dir = "${join(folder, 'data')}"
log_level = "error"
stop_wait_s = 0
[sip]
udp = ["127.0.0.1:0"]
tcp = ["127.0.0.1:0"]
[media]
bind = "127.0.0.1"
shards = 1
[webrtc]
bind = "127.0.0.1"
advertised = ["127.0.0.1"]
first_port = ${media}
${options.bitrate ? `opus_bitrate = ${options.bitrate}` : ''}
${options.complexity ? `opus_complexity = ${options.complexity}` : ''}
[http]
api = "127.0.0.1:0"
front_door = "127.0.0.1:0"
allow = ["127.0.0.0/8"]
origins = ["${pages}"]
`);
  const tell = (...args) => {
    const done = spawnSync(ASIDE, ['--config', config, '--json', ...args], { cwd: folder, encoding: 'utf8' });
    if (done.status !== 0) throw new Error(`aside ${args.join(' ')}: ${done.stdout}${done.stderr}`);
    return JSON.parse(done.stdout);
  };
  const { auth_id: account } = tell('account', 'create', 'quality');
  const { app_id: app } = tell('application', 'create', 'quality', '--account', account, '--answer-url', `${pages}/answer`);
  for (const user of ['talker', 'listener']) {
    tell('endpoint', 'create', user, '--account', account, '--password', PASSWORD, '--app', app);
  }
  const { child, told } = await start(ASIDE, ['serve', '--config', config, '--announce'], { cwd: folder });
  child.stdout.resume();
  const api = Array.isArray(told.api) ? told.api[0] : told.api;
  return {
    media: `127.0.0.1:${media}`, websocket: `ws://${api}/sip`,
    async end() {
      child.kill('SIGKILL');
      await new Promise((done) => child.on('exit', done));
      rmSync(folder, { recursive: true, force: true });
    },
  };
};

const browser = async (url, microphone) => {
  const opened = await chromium.launch({
    executablePath: EXECUTABLE,
    args: [
      '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
      '--autoplay-policy=no-user-gesture-required', '--disable-background-timer-throttling', '--disable-renderer-backgrounding',
      '--disable-backgrounding-occluded-windows', '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream',
      `--use-file-for-fake-audio-capture=${microphone}`,
    ],
  });
  const page = await (await opened.newContext()).newPage();
  page.on('pageerror', (error) => console.error(`  page: ${error.message}`));
  await page.goto(url);
  await page.waitForFunction(() => Boolean(window.call));
  return { page, close: () => opened.close() };
};

const wav = (pcm, rate) => {
  const head = Buffer.alloc(44);
  head.write('RIFF', 0);
  head.writeUInt32LE(36 + pcm.length, 4);
  head.write('WAVEfmt ', 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(rate, 24);
  head.writeUInt32LE(rate * 2, 28);
  head.writeUInt16LE(2, 32);
  head.writeUInt16LE(16, 34);
  head.write('data', 36);
  head.writeUInt32LE(pcm.length, 40);
  return Buffer.concat([head, pcm]);
};

const connectDirectly = async (talker, listener, network) => {
  await Promise.all([talker, listener].map(({ page }) => page.evaluate(() => window.call.direct())));
  const offer = await talker.page.evaluate(() => window.call.offer());
  const answer = await listener.page.evaluate(([sdp, address]) => window.call.answer(sdp, address), [offer, network?.far ?? null]);
  await talker.page.evaluate(([sdp, address]) => window.call.accept(sdp, address), [answer, network?.near ?? null]);
};

const enterRoom = async ({ page }, user, server, network) => {
  await page.evaluate((wanted) => window.call.register(wanted), { websocket: server.websocket, user, password: PASSWORD, domain: DOMAIN });
  await until(`${user} registers`, () => page.evaluate(() => window.call.state.registered || window.call.state.failed));
  await page.evaluate(([target, near, far]) => window.call.dial(target, near, far), [`sip:room@${DOMAIN}`, network?.near ?? null, network?.far ?? null]);
  const state = await until(`${user} enters the room`, () => page.evaluate(() => (window.call.state.live || window.call.state.failed) && { ...window.call.state }));
  if (!state.live) throw new Error(`${user} does not get into the room: ${state.failed}`);
};

const carry = async (name, pages, sentences, out) => {
  const { room, impaired } = PATHS[name];
  const microphone = resolve(sentences, 'microphone.wav');
  const seconds = (statSync(microphone).size - 44) / 96_000;
  const ends = [];
  try {
    const server = room ? await house(pages) : null;
    if (server) ends.push(() => server.end());
    const network = impaired ? await relay(options.seed, server?.media) : null;
    const listener = await browser(pages, resolve(sentences, 'silence.wav'));
    ends.push(() => listener.close());
    const talker = await browser(pages, microphone);
    ends.push(() => talker.close());
    if (room) {
      await enterRoom(listener, 'listener', server, impaired === 'listener' ? network : null);
      await enterRoom(talker, 'talker', server, impaired === 'talker' ? network : null);
    } else {
      await connectDirectly(talker, listener, network);
    }
    for (const { page } of [talker, listener]) await until('the browsers connect', () => page.evaluate(() => window.call.connected()));
    const load = loadavg()[0];
    // Buffers have found their depth.
    await rest(3_000);
    await listener.page.evaluate(() => window.call.forget());
    // The file comes again and again: in so long each sentence came whole.
    await rest((seconds + 10) * 1_000);
    const { rate, pcm } = await listener.page.evaluate(() => window.call.heard());
    const [said, heard] = await Promise.all([talker, listener].map(({ page }) => page.evaluate(() => window.call.report())));
    const relayed = await network?.end();
    if (network) {
      const { remote } = impaired === 'talker' ? said : heard;
      if (remote !== network.near) throw new Error(`${name}: its sound goes to ${remote}, past the relay at ${network.near}`);
    }
    writeFileSync(join(out, `${name}.wav`), wav(Buffer.from(pcm, 'base64'), rate));
    const result = { path: name, rate, load, loadAfter: loadavg()[0], talker: said, listener: heard, relay: relayed };
    writeFileSync(join(out, `${name}.json`), `${JSON.stringify(result, null, 1)}\n`);
    const way = relayed && relayed[impaired === 'talker' ? 'near_to_far' : 'far_to_near'];
    const lost = way && `${way.sound_lost} of ${way.sound} lost, ${way.sound_reordered} reordered, `;
    console.error(`  ${name}: ${lost ?? ''}buffer ${heard.bufferMs} ms, ${heard.gaps} gaps of the recording, load ${load.toFixed(1)} … ${loadavg()[0].toFixed(1)}`);
    return heard.gaps;
  } finally {
    for (const end of ends.reverse()) await Promise.resolve(end()).catch(() => null);
  }
};

const out = resolve(options.out);
mkdirSync(out, { recursive: true });
const pages = await site();
try {
  for (const name of options.paths.split(',')) {
    if (!PATHS[name]) throw new Error(`there is no path ${name}; there are ${Object.keys(PATHS).join(', ')}`);
    for (let run = 1; ; run += 1) {
      console.error(`path ${name} …`);
      if (await carry(name, pages.url, options.sentences, out) <= GAPS) break;
      if (run === RUNS) throw new Error(`${name}: this machine is too busy to hear what arrives; end what else runs`);
      console.error(`  void: more than ${GAPS} gaps`);
    }
  }
} finally {
  pages.close();
}
