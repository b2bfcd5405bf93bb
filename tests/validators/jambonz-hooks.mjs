// Reads {"schema":…,"body":…} from standard input, one per line, and prints for each what the vendor's schema of that callback says against it: nothing,
// or a text. Ends with how many were looked at.

import { readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';

const require = createRequire(import.meta.url);
const Ajv2020 = require('ajv/dist/2020').default;
const formats = require('ajv-formats');

const folder = dirname(require.resolve('@jambonz/schema'));
const ajv = new Ajv2020({ allErrors: true, strict: false });
formats(ajv);
for (const part of ['components', 'callbacks']) {
  for (const file of readdirSync(join(folder, part))) {
    if (file.endsWith('.schema.json')) ajv.addSchema(JSON.parse(readFileSync(join(folder, part, file), 'utf8')));
  }
}

let looked = 0;
createInterface({ input: process.stdin })
  .on('line', (line) => {
    const { number, schema, body } = JSON.parse(line);
    const validate = ajv.getSchema(`https://jambonz.org/schema/callbacks/${schema}`);
    looked += 1;
    if (!validate) console.log(JSON.stringify({ number, wrong: `there is no schema ${schema}` }));
    else if (!validate(body)) console.log(JSON.stringify({ number, wrong: ajv.errorsText(validate.errors) }));
  })
  .on('close', () => console.log(JSON.stringify({ looked })));
