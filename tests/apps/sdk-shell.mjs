// Calls any operation of Plivo's Node library: one JSON object per line in, one out.
// {"id":1,"operation":"multiPartyCalls.get","arguments":[{"uuid":"…"}]} → {"id":1,"result":{…}} or {"id":1,"error":{…}}

import { createInterface } from 'node:readline';
import plivo from 'plivo';

const client = new plivo.Client(process.env.PLIVO_AUTH_ID, process.env.PLIVO_AUTH_TOKEN);
console.log(JSON.stringify({ ready: true }));

// Library objects carry their client: only plain data goes out.
const plain = (value) => JSON.parse(JSON.stringify(value ?? null, (key, inner) => (typeof inner === 'function' ? undefined : inner)));

createInterface({ input: process.stdin }).on('line', async (line) => {
  const { id, operation, arguments: given } = JSON.parse(line);
  try {
    const path = operation.split('.');
    const name = path.pop();
    const owner = path.reduce((object, part) => object[part], client);
    const result = await owner[name](...given);
    if (result instanceof Error) throw result;
    console.log(JSON.stringify({ id, result: plain(result) }));
  } catch (error) {
    console.log(JSON.stringify({ id, error: { name: error?.name, status: error?.status, message: String(error?.message ?? error) } }));
  }
});
