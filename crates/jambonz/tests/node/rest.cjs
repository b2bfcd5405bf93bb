// Leads the official REST clients through what they offer; prints what they returned.
const { pathToFileURL } = require('node:url');
const path = require('node:path');

const [baseUrl, accountSid, apiKey, callSid] = process.argv.slice(2);
const NOBODY = '00000000-0000-4000-8000-000000000000';
const to = { type: 'phone', number: '16173333456' };
const failure = (promise) => promise.then(() => '', (error) => String(error.message || error));

async function older() {
  const client = require('@jambonz/node-client')(accountSid, apiKey, { baseUrl });
  const got = {};
  const app = await client.applications.create({
    name: 'by the client',
    account_sid: accountSid,
    call_hook: { url: 'https://app.test/calls', method: 'POST' },
    call_status_hook: { url: 'https://app.test/status', method: 'POST' },
  });
  got.applications = (await client.applications.list()).map((one) => one.name);
  await client.applications.retrieve(app);
  got.made = await client.calls.create({ from: '15083084809', to, application_sid: app });
  got.list = (await client.calls.list()).length;
  got.one = (await client.calls.retrieve(callSid)).call_status;
  // Its own check refuses the action by itself.
  await client.calls.update(callSid, {
    conferenceParticipantAction: { action: 'coach', tag: 'agent' },
    whisper: { verb: 'say', text: 'hush' },
  });
  await client.calls.update(callSid, { conf_mute_status: 'unmute' });
  got.missing = await failure(client.calls.retrieve(NOBODY));
  got.message = await failure(client.messages.create({ from: '1', to: '2', text: 'x' }));
  await client.calls.delete(callSid);
  await client.applications.delete(app);
  return got;
}

async function sdk() {
  const file = path.join(process.env.ASIDE_MODULES, '@jambonz/sdk/dist/client/index.js');
  const { JambonzClient } = await import(pathToFileURL(file));
  const client = new JambonzClient({ baseUrl, accountSid, apiKey });
  const got = {};
  got.made = await client.calls.create({ from: '15083084809', to, call_hook: 'https://app.test/calls' });
  got.list = (await client.calls.list({ direction: 'inbound', callStatus: 'in-progress' })).length;
  got.one = (await client.calls.get(callSid)).call_status;
  got.count = await client.calls.count();
  got.rooms = await client.conferences.list();
  got.queues = await client.queues.list('al');
  await client.calls.update(callSid, { conferenceParticipantAction: { action: 'coach', tag: 'agent' } });
  await client.calls.mute(callSid, 'mute');
  await client.calls.redirect(callSid, 'https://app.test/next');
  await client.calls.whisper(callSid, { verb: 'say', text: 'hush' });
  got.missing = await failure(client.calls.get(NOBODY));
  await client.calls.delete(callSid);
  return got;
}

(async () => {
  // A package of the vendor prints on the standard output while it loads.
  const log = console.log;
  console.log = () => {};
  const got = { older: await older(), sdk: await sdk() };
  console.log = log;
  process.stdout.write(JSON.stringify(got));
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
