// The console in Chromium, against a server that a test directs.  node --test tests/console/
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { browser } from './browser.mjs';
import { fakeServer } from './fake-server.mjs';
import { obeys, session, talk } from './scenes.mjs';

const PATIENCE = 8_000;
let chrome;
let scene;
let page;
let faults;

before(async () => { chrome = await browser(); });
after(() => chrome.close());
beforeEach(async () => {
  scene = Object.assign(obeys(await fakeServer()), { session: session(), room: talk(), tokens: new Set(['good', 'other']) });
  page = await chrome.page();
  page.setDefaultTimeout(PATIENCE);
  faults = [];
  page.on('pageerror', (error) => faults.push(error.message));
});
afterEach(async () => {
  await page.context().close();
  scene.close();
  assert.deepEqual(faults, []);
});

/** Waits until what `look` gives in the page is true. Playwright's own waiting needs eval, which the pages' policy forbids. */
async function until(look, argument, patience = PATIENCE) {
  const end = Date.now() + patience;
  for (;;) {
    const value = await page.evaluate(look, argument);
    if (value) return value;
    assert.ok(Date.now() < end, `not within ${patience} ms: ${look}; shown: ${await page.innerText('main')}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

const shows = (text, patience) => until((wanted) => document.body.innerText.includes(wanted), text, patience);
const tone = (wanted) => until((name) => document.body.dataset.tone === name, wanted);
const headline = () => page.innerText('.headline');

async function opens(hash = '#k=good&room=support-7') {
  await page.goto(`${scene.origin}/console${hash}`);
  await page.waitForSelector('.member');
}

async function joins(mode) {
  await page.click(`button[data-mode=${mode}]`);
  await until(() => document.querySelector('dialog[open] :is(.primary, .danger)')?.ariaDisabled === null);
  await page.click('dialog[open] :is(.primary, .danger)');
  await until((name) => document.querySelector(`button[data-mode=${name}]`).ariaPressed === 'true', mode);
}

test('a sign-in link opens its room, leaves no token behind and does not work again', async () => {
  await opens();
  assert.equal(page.url(), `${scene.origin}/console#/rooms/support-7`);
  assert.deepEqual(scene.asked.filter(({ path }) => path === '/session').map(({ body }) => body), [{ token: 'good' }]);
  await page.goBack().catch(() => null);
  assert.ok(!page.url().includes('good'), 'the token is in the history');
  const second = await chrome.page();
  await second.goto(`${scene.origin}/console#k=good&room=support-7`);
  await second.waitForSelector('input[type=password]');
  assert.match(await second.innerText('main'), /This link was used already or has expired\. Press Enter in the terminal where the demo runs for another one\./);
  assert.ok(!second.url().includes('good'));
  await second.context().close();
});

test('a sign-in link that is opened in a tab with the form signs in there, and one that is used up signs nobody out', async () => {
  await page.goto(`${scene.origin}/console`);
  await page.waitForSelector('input[type=password]');
  await page.evaluate(() => { location.hash = '#k=good&room=support-7'; });
  await page.waitForSelector('.member');
  await page.evaluate(() => { location.hash = '#k=good&room=support-7'; });
  await page.waitForSelector('.member');
  assert.equal(page.url(), `${scene.origin}/console#/rooms/support-7`);
  await page.reload();
  await page.waitForSelector('.member');
});

test('a server that is not reached does not use the link up', async () => {
  let down = true;
  await page.route('**/api/v1/session', (route) => (down ? route.abort() : route.continue()));
  await page.goto(`${scene.origin}/console#k=good&room=support-7`);
  await page.waitForSelector('text=The server cannot be reached');
  down = false;
  await page.click('text=Try again');
  await page.waitForSelector('.member');
});

test('a silent connection is called old within 6 s, in a room and in the list', async () => {
  await opens();
  await joins('whisper');
  await tone('aside');
  scene.alive = false;
  const before = Date.now();
  await tone('unknown');
  assert.ok(Date.now() - before < 6_500, `after ${Date.now() - before} ms`);
  assert.equal(await headline(), 'Who hears you is not known');
  assert.equal(await page.innerText('.side section h2 >> nth=0'), 'Who heard whom');
  scene.alive = true;
  await tone('aside');
  assert.equal(await page.innerText('.side section h2 >> nth=0'), 'Who hears whom');
  const list = await chrome.page();
  await list.goto(`${scene.origin}/console#k=other`);
  await list.waitForSelector('text=No live rooms.');
  [scene.alive, scene.refuse] = [false, 503];
  await list.waitForSelector('text=What is below is old', { timeout: 6_500 });
  await list.context().close();
});

test('who may no longer see a room is not told that it is over', async () => {
  await opens();
  await joins('whisper');
  await page.evaluate(() => {
    window.__tones = [];
    new MutationObserver((changes) => window.__tones.push(...changes.map(({ oldValue }) => oldValue))).observe(document.body, { attributeFilter: ['data-tone'], attributeOldValue: true });
  });
  scene.send('room', 'ended', { reason: 'forbidden' });
  await shows('You may no longer see this room; your call has ended; the others go on.');
  const shown = await page.innerText('main');
  assert.ok(!shown.includes('This room has ended') && !shown.includes('Nobody in it hears anybody'), shown);
  assert.equal(await page.evaluate(() => window.__call.ended.reason), 'hung_up');
  assert.equal(await page.evaluate(() => window.__tones.includes('unknown')), false, 'an end is no lost connection');
});

test('the last lines of the log are read before the stream is closed', async () => {
  await opens();
  await joins('barge');
  scene.send('room', 'room', talk('out', { state: 'ending', ended: { reason: 'max_duration' } }));
  await shows('This room has ended: its longest time is over.');
  assert.equal(await page.evaluate(() => window.__call.ended.reason), 'hung_up');
  scene.send('room', 'log', { id: 9, at: new Date().toISOString(), kind: 'room.ended', text: 'The room has ended (max duration).', member: null });
  await until(() => document.querySelector('.log').innerText.includes('its longest time is over'));
  scene.send('room', 'ended', { reason: 'max_duration' });
  scene.refuse = 404;
  await page.click('text=Wait for it to open again');
  await shows('There is no live room of this name now.');
});

const unplugs = () => page.evaluate(() => { const { track } = window.__call.microphone; track.stop(); track.dispatchEvent(new Event('ended')); });

test('a microphone that is unplugged in a call is told, and so is the one that is used instead', async () => {
  await opens();
  await joins('barge');
  assert.equal(await headline(), 'The customer hears you');
  await unplugs();
  await page.waitForSelector('[data-notice=microphone]');
  assert.match(await page.innerText('[data-notice=microphone]'), /is gone\. “.+” is used instead/);
  assert.equal(await headline(), 'The customer hears you');
  await page.evaluate(() => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', 'NotFoundError')); });
  await unplugs();
  await until(() => document.querySelector('.headline').innerText === 'Nobody hears you: your microphone is gone');
  assert.equal(await page.evaluate(() => document.body.dataset.tone), 'nobody');
  await page.waitForSelector('[data-notice=lost]');
  assert.deepEqual(await page.evaluate(() => [...document.querySelectorAll('.member')].map((card) => card.dataset.heard)), ['no', 'no']);
  await page.click('[data-notice=lost] button >> nth=0');
  await shows('No microphone was found. Plug one in, then try again.');
  await page.evaluate(() => { delete navigator.mediaDevices.getUserMedia; });
  await page.click('[data-notice=lost] button >> nth=0');
  await until(() => document.querySelector('.headline').innerText === 'The customer hears you');
  assert.equal(await page.locator('[data-notice=lost]').count(), 0);
});

test('microphone and speaker are changed during the call', async () => {
  await opens();
  await joins('whisper');
  await page.click('.devices summary');
  const [inputs, outputs] = [page.locator('.devices select >> nth=0'), page.locator('.devices select >> nth=1')];
  const before = await page.evaluate(() => window.__call.microphone.track.id);
  await inputs.selectOption({ index: 1 });
  await until((id) => window.__call.microphone.track.id !== id, before);
  assert.equal(await inputs.inputValue(), await page.evaluate(() => window.__call.microphone.deviceId));
  await outputs.selectOption({ index: 1 });
  await until(() => window.__call.speaker);
  assert.equal(await outputs.inputValue(), await page.evaluate(() => window.__call.speaker));
  await page.click('button[data-mode=leave]');
  await page.click('dialog[open] .primary');
  await until(() => !document.querySelector('.devices')); // there is none to choose without a call
});

test('single keys act while a box to tick has the focus, and not while somebody writes', async () => {
  await opens();
  await joins('monitor');
  await page.focus('.switch input');
  await page.keyboard.press('w');
  await tone('aside');
  await page.focus('[maxlength="64"]');
  await page.keyboard.press('b');
  assert.equal(await page.inputValue('[maxlength="64"]'), 'b');
  await page.click('.switch');
  await page.keyboard.press('b');
  assert.ok(!scene.asked.some(({ body }) => body?.mode === 'barge'), 'a key acts though it is turned off');
});

test('giving back is offered to who has taken over, and the focus stays on the buttons', async () => {
  await opens();
  await joins('barge');
  assert.equal(await page.isVisible('button[data-mode=stop]'), false);
  await page.keyboard.press('t');
  await page.waitForSelector('button[data-mode=stop]');
  await page.focus('button[data-mode=stop]');
  await page.keyboard.press('Enter');
  await tone('nobody');
  assert.equal(await page.evaluate(() => document.activeElement.dataset.mode), 'monitor');
  assert.equal(await page.evaluate(() => document.querySelectorAll('.modes button[tabindex="0"]:not([hidden])').length), 1);
});

test('who speaks is in the text of the card and nowhere called out', async () => {
  await opens();
  scene.send('room', 'levels', { l: [[1, -20, 1], [2, -127, 0]] });
  await until(() => document.querySelector('.member').textContent.includes('Carla, speaking'));
  assert.equal(await page.evaluate(() => document.querySelector('.member').closest('[aria-live], [role=status], [role=alert]')), null);
  assert.ok(!(await page.evaluate(() => document.querySelectorAll('.member')[1].textContent)).includes('speaking'));
  scene.send('room', 'levels', { l: [[1, -127, 0]] });
  await until(() => !document.querySelector('.member').textContent.includes('speaking'));
});

test('what the headline says aloud no notice says too', async () => {
  await opens();
  await joins('whisper');
  await page.context().setOffline(true);
  await tone('unknown');
  assert.equal(await page.getAttribute('[data-notice=connection]', 'role'), null);
  await until(() => document.querySelector('[aria-live=assertive]')?.textContent.includes('Who hears you is not known'));
  await page.context().setOffline(false);
});

test('who left before the page was open has his name in the log and in the past', async () => {
  const at = new Date().toISOString();
  scene.log = [{ id: 1, at, kind: 'member.left', text: 'The customer sip:cleo@x.example has left (hangup).', member: 9, label: 'Cleo', number: 'sip:cleo@x.example', mode: null }];
  const command = scene.command;
  scene.command = (asked) => (asked.path.endsWith('/hearing') ? { status: 200, body: { at, tick: 5, pending: false, rows: [{ listener: 9, role: 'customer', hears: [2] }, { listener: 2, role: 'agent', hears: [9] }] } } : command(asked));
  await opens();
  await shows('Cleo has left: hung up.');
  await page.click('role=heading[name="Who heard whom at another time"]');
  await page.click('role=button[name="Look"]');
  await shows('No supervisor was in the room.');
  assert.match(await page.innerText('details .matrix'), /Cleo heard[^]*Ben heard/);
});

test('ticks are for programs: people see the time', async () => {
  await opens();
  assert.equal(await page.getAttribute('.since', 'data-tick'), '100');
  assert.ok(!/tick/i.test(await page.innerText('main')));
});

test('a link for somebody else is copied, or opened in a tab of its own', async () => {
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await opens();
  await page.click('[data-invite=customer][data-how=copy]');
  await shows('The link is copied. It works once, until');
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), `${scene.origin}/phone#i=token&as=customer`);
  const [opened] = await Promise.all([page.context().waitForEvent('page'), page.click('[data-invite=agent][data-how=open]')]);
  await opened.waitForURL(`${scene.origin}/phone#i=token&as=agent`);
});

test('on a phone what a button refuses is said under the headline, and nothing is wider than the window', async () => {
  await page.setViewportSize({ width: 390, height: 844 });
  await opens();
  await page.evaluate(() => scrollTo(0, 600));
  await page.click('button[data-mode=takeover]', { force: true });
  await page.waitForSelector('[data-notice=refused]');
  const place = await page.evaluate(() => ['.verdict', '[data-notice=refused]', '.controls'].map((part) => { const { top, bottom } = document.querySelector(part).getBoundingClientRect(); return [top, bottom]; }));
  const [verdict, notice, controls] = place;
  assert.ok(verdict[0] >= 0 && notice[0] >= verdict[1] && notice[1] <= controls[0] && controls[1] <= 845, JSON.stringify(place));
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390);
});

test('on a desk the whole picture is seen at once: nothing covers the own card', async () => {
  await opens();
  await joins('whisper');
  const [me, modes] = await page.evaluate(() => ['.me', '.modes'].map((part) => { const { top, bottom } = document.querySelector(part).getBoundingClientRect(); return { top, bottom }; }));
  assert.ok(me.bottom <= 800 && modes.bottom <= me.top, JSON.stringify({ me, modes }));
});

/** The phone, with a WebSocket that keeps what is sent. */
async function phone() {
  await page.addInitScript(() => {
    window.__sent = [];
    window.WebSocket = class {
      static OPEN = 1;
      readyState = 1;
      constructor() { setTimeout(() => this.onopen?.()); }
      send(text) { window.__sent.push(text); }
      close() {}
    };
  });
  await page.goto(`${scene.origin}/phone`);
}

test('who signs in at the phone with his domain registers by his name in the realm that the server says', async () => {
  await phone();
  await page.fill('[name=username]', 'anna@calls.example');
  await page.fill('[name=password]', 'secret');
  await page.click('form .primary');
  const register = await until(() => window.__sent.find((text) => text.startsWith('REGISTER')));
  assert.match(register, /^To: <sip:anna@calls\.example>/m);
  assert.deepEqual(scene.asked.at(-1).body, { username: 'anna@calls.example', password: 'secret' });
});

async function calls() {
  await phone();
  await page.fill('[name=username]', 'anna');
  await page.fill('[name=password]', 'secret');
  await page.click('form .primary');
  await page.waitForSelector('#target');
  await page.fill('#target', 'bob');
  await page.click('.dial .good');
  await shows('Connected');
}

test('an agent whose microphone is unplugged is told so, and is heard again when it is back', async () => {
  await calls();
  await unplugs();
  await until(() => /is gone\. “.+” is used instead/.test(document.querySelector('#notice').innerText));
  await page.evaluate(() => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', 'NotFoundError')); });
  await unplugs();
  await shows('Connected, but nobody hears you: your microphone is gone.');
  await shows('Your microphone is gone, and there is no other one.');
  await page.evaluate(() => { delete navigator.mediaDevices.getUserMedia; navigator.mediaDevices.dispatchEvent(new Event('devicechange')); });
  await until(() => document.querySelector('.call').innerText.includes('Connected') && !document.querySelector('.call').innerText.includes('gone'));
  await until(() => document.querySelector('.devices .notice').hidden);
});

test('a call is not left by closing the tab unasked, and a phone without one is', async () => {
  await calls();
  const asks = () => page.evaluate(() => !dispatchEvent(new Event('beforeunload', { cancelable: true })));
  assert.equal(await asks(), true);
  await page.click('text=Hang up');
  await page.waitForSelector('#target');
  assert.equal(await asks(), false);
});

test('what the pages offer and answer says that silence need not be sent to them', async () => {
  await opens();
  const [offer, answer] = await page.evaluate(async () => {
    const { Media } = await import('/console/lib/media.js');
    const line = async () => new Media([], (await navigator.mediaDevices.getUserMedia({ audio: true })).getAudioTracks()[0]);
    const [caller, callee] = [await line(), await line()];
    const offered = await caller.offer();
    return [offered, await callee.answer(offered)];
  });
  for (const sdp of [offer, answer]) assert.match(sdp, /^a=fmtp:\d+ .*useinbandfec=1;usedtx=1\s*$/m);
});
