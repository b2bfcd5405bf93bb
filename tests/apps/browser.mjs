// Drives Chromium for the tests: commands come as JSON lines on standard input, answers go out the same way. Every tab is a browser
// process of its own, because a browser has one microphone file. What a tab receives over WebRTC is kept as PCM.
import { createInterface } from 'node:readline';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';
const axe = () => readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

// Runs in every page before its own scripts: keeps what remote tracks sound, 48 kHz mono, with the time of the newest sample; and
// takes microphones as they are, for echo cancellation, noise suppression and gain control delete tones. And it keeps every encoded frame
// as it came over the network, before the browser's jitter buffer: what was sent is judged by these.
const ears = () => {
  let tap;
  const tapped = new WeakSet();
  const keep = (receiver) => {
    if (tapped.has(receiver)) return;
    tapped.add(receiver);
    if (!tap) {
      tap = new Worker('/__tap.js');
      tap.onmessage = ({ data }) => window.__frames(data);
    }
    receiver.transform = new RTCRtpScriptTransform(tap);
  };
  const listen = async (track) => {
    const reader = new MediaStreamTrackProcessor({ track }).readable.getReader();
    let chunk = [];
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const samples = new Float32Array(value.numberOfFrames);
      value.copyTo(samples, { planeIndex: 0, format: 'f32-planar' });
      value.close();
      for (const sample of samples) chunk.push(Math.max(-32768, Math.min(32767, Math.round(sample * 32768))));
      if (chunk.length < 4800) continue;
      const bytes = new Uint8Array(new Int16Array(chunk).buffer);
      chunk = [];
      window.__heard(btoa(String.fromCharCode(...bytes)), Date.now());
    }
  };
  const devices = navigator.mediaDevices;
  if (devices) {
    const open = devices.getUserMedia.bind(devices);
    const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    devices.getUserMedia = (wanted) => open({ ...wanted, audio: wanted.audio && { ...(wanted.audio === true ? {} : wanted.audio), ...plain } });
  }
  const Native = window.RTCPeerConnection;
  window.__peers = [];
  // Who offers must have the tap in place before the answer comes: Chromium forgets one that is set afterwards.
  for (const name of ['addTrack', 'addStream', 'addTransceiver']) {
    const own = Native.prototype[name];
    Native.prototype[name] = function (...args) {
      const added = own.apply(this, args);
      this.getReceivers().forEach(keep);
      return added;
    };
  }
  window.RTCPeerConnection = class extends Native {
    constructor(...args) {
      super(...args);
      window.__peers.push(this);
      this.addEventListener('track', ({ track, receiver }) => {
        if (track.kind !== 'audio') return;
        keep(receiver);
        listen(track);
      });
    }
  };
};

// The worker that sees the frames: what they are, when they came (ms since 1970), and what is in them.
const TAP = `
const base64 = (data) => btoa(String.fromCharCode(...new Uint8Array(data)));
let kept = [];
setInterval(() => { if (kept.length) postMessage(JSON.stringify(kept)); kept = []; }, 100);
onrtctransform = ({ transformer }) => transformer.readable.pipeThrough(new TransformStream({
  transform(frame, out) {
    const at = performance.timeOrigin + performance.now();
    const { synchronizationSource, sequenceNumber, rtpTimestamp, mimeType } = frame.getMetadata();
    kept.push([synchronizationSource, sequenceNumber ?? 0, rtpTimestamp, at, mimeType ?? '', base64(frame.data)]);
    out.enqueue(frame);
  },
})).pipeTo(transformer.writable);
`;

const tabs = new Map();

const tab = (name) => {
  const found = tabs.get(name);
  if (!found) throw new Error(`there is no tab ${name}`);
  return found;
};

const operations = {
  async open({ name, url, microphone, width = 1280, height = 800, dark = false, denied = false, args = [], scripts = [], trusted = true }) {
    const flags = [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost', '--autoplay-policy=no-user-gesture-required',
      '--disable-background-timer-throttling', '--disable-renderer-backgrounding', '--disable-backgrounding-occluded-windows',
      '--use-fake-device-for-media-stream', denied ? '--deny-permission-prompts' : '--use-fake-ui-for-media-stream', ...args,
    ];
    if (microphone) flags.push(`--use-file-for-fake-audio-capture=${microphone}`);
    const browser = await chromium.launch({ executablePath: EXECUTABLE, args: flags });
    const context = await browser.newContext({
      viewport: { width, height }, colorScheme: dark ? 'dark' : 'light', reducedMotion: 'reduce', ignoreHTTPSErrors: trusted,
    });
    const page = await context.newPage();
    const found = { browser, context, page, pcm: [], samples: 0, marks: [], frames: [], said: [] };
    tabs.set(name, found);
    await page.exposeBinding('__heard', (_, base64, at) => {
      const bytes = Buffer.from(base64, 'base64');
      found.pcm.push(bytes);
      found.samples += bytes.length / 2;
      found.marks.push([found.samples, at]);
    });
    await page.exposeBinding('__frames', (_, text) => { found.frames.push(...JSON.parse(text)); });
    await context.route('**/__tap.js', (route) => route.fulfill({ contentType: 'text/javascript', body: TAP }));
    const say = (text) => { if (found.said.length < 1000) found.said.push(text); };
    page.on('console', (message) => say(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => say(`pageerror: ${error.message}`));
    await page.addInitScript(ears);
    for (const content of scripts) await page.addInitScript({ content });
    if (url) await page.goto(url);
  },
  goto: ({ name, url }) => tab(name).page.goto(url).then(() => null),
  reload: ({ name }) => tab(name).page.reload().then(() => null),
  url: ({ name }) => tab(name).page.url(),
  eval: ({ name, js }) => tab(name).page.evaluate(js),
  // Playwright's own waiting evaluates text in the page, which the pages' content security policy forbids.
  async until({ name, js, ms }) {
    const end = Date.now() + ms;
    for (;;) {
      const value = await tab(name).page.evaluate(js);
      if (value) return value;
      if (Date.now() > end) throw new Error(`not within ${ms} ms: ${js}`);
      await new Promise((resolve) => { setTimeout(resolve, 50); });
    }
  },
  click: ({ name, selector, ms }) => tab(name).page.locator(selector).first().click({ timeout: ms }).then(() => null),
  fill: ({ name, selector, text, ms }) => tab(name).page.locator(selector).first().fill(text, { timeout: ms }).then(() => null),
  select: ({ name, selector, value, ms }) => tab(name).page.locator(selector).first().selectOption(value, { timeout: ms }).then(() => null),
  press: ({ name, key }) => tab(name).page.keyboard.press(key).then(() => null),
  visible: ({ name, selector, ms }) => tab(name).page.locator(selector).first().waitFor({ state: 'visible', timeout: ms }).then(() => null),
  gone: ({ name, selector, ms }) => tab(name).page.locator(selector).first().waitFor({ state: 'hidden', timeout: ms }).then(() => null),
  text: ({ name, selector, ms }) => tab(name).page.locator(selector).first().innerText({ timeout: ms }),
  size: ({ name, width, height }) => tab(name).page.setViewportSize({ width, height }).then(() => null),
  scheme: ({ name, dark }) => tab(name).page.emulateMedia({ colorScheme: dark ? 'dark' : 'light' }).then(() => null),
  async picture({ name, path }) {
    const { page, context } = tab(name);
    // Small ones: Playwright itself writes no WebP.
    const session = await context.newCDPSession(page);
    const { data } = await session.send('Page.captureScreenshot', { format: 'webp', quality: 45 });
    await session.detach();
    writeFileSync(path, Buffer.from(data, 'base64'));
    return null;
  },
  offline: ({ name, on }) => tab(name).context.setOffline(on).then(() => null),
  said: ({ name }) => tab(name).said,
  async axe({ name }) {
    const { page } = tab(name);
    await page.evaluate(axe());
    const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
    return violations.map(({ id, help, nodes }) => ({ id, help, nodes: nodes.map((node) => node.html.slice(0, 200)) }));
  },
  // What came since sample `from`: PCM, the number of its first sample, and [samples so far, ms since 1970] marks.
  heard({ name, from }) {
    const { pcm, samples, marks } = tab(name);
    const all = Buffer.concat(pcm);
    tab(name).pcm = [all];
    const first = Math.min(from, samples);
    return { first, samples, pcm: all.subarray(first * 2).toString('base64'), marks: marks.filter(([count]) => count > first) };
  },
  // Frames from number `from` on: [SSRC, sequence number, RTP timestamp, ms since 1970, type, base64].
  frames: ({ name, from }) => tab(name).frames.slice(from),
  async close({ name }) {
    const { browser } = tab(name);
    tabs.delete(name);
    await browser.close();
  },
};

process.stdout.write(`${JSON.stringify({ ready: true })}\n`);
for await (const line of createInterface({ input: process.stdin })) {
  const { id, op, ...rest } = JSON.parse(line);
  Promise.resolve()
    .then(() => operations[op](rest))
    .then((value) => ({ id, value: value ?? null }), (error) => ({ id, failed: String(error.message ?? error).split('\n').slice(0, 12).join('\n') }))
    .then((answer) => process.stdout.write(`${JSON.stringify(answer)}\n`));
}
await Promise.all([...tabs.values()].map(({ browser }) => browser.close().catch(() => null)));
