// Drives the REST interface with the official Node package, which is led here by its environment alone, and prints what it got.
'use strict';
const plivo = require('plivo');

async function main() {
  const [id, token, room, supervisor] = process.argv.slice(2);
  const client = new plivo.Client(id, token);
  const got = {};
  got.list = (await client.multiPartyCalls.list({ status: 'active' })).length;
  got.name = (await client.multiPartyCalls.get({ friendlyName: room })).friendlyName;
  await client.multiPartyCalls.start({ friendlyName: room, status: 'active' });
  got.added = await client.multiPartyCalls.addParticipant('Supervisor', { friendlyName: room, from: '4930', to: 'sip:boss@phone.plivo.com', coachMode: 'false' });
  got.updated = await client.multiPartyCalls.updateParticipant(supervisor, { friendlyName: room, coachMode: 'false', mute: 'true' });
  got.participants = await client.multiPartyCalls.listParticipants({ friendlyName: room });
  await client.multiPartyCalls.kickParticipant(supervisor, { friendlyName: room });
  await client.multiPartyCalls.stop({ friendlyName: room });
  try {
    await client.multiPartyCalls.get({ friendlyName: 'nobody' });
  } catch (error) {
    got.missing = `${error.name}: ${error.message}`;
  }
  process.stdout.write(JSON.stringify(got));
}

main().catch((error) => { console.error(error); process.exit(1); });
