// Reads {seed, count, read: [names of verbs that are run], bodies: [{schema, body}]}; prints
//   good:    verb arrays that the vendor's schemas allow, made from the schemas,
//   bad:     the same with one property spoilt, which they refuse,
//   shipped: the packages' own test data, with what their validator says,
//   bodies:  for each body, what the schema of its callback says (null: nothing).
const fs = require('fs');
const path = require('path');
const Module = require('module');
const root = path.dirname(require.resolve('@jambonz/schema'));
const {validate, validateVerb} = require('@jambonz/schema');
const Ajv = require('ajv');
const formats = require('ajv-formats');

const input = JSON.parse(fs.readFileSync(0, 'utf8'));
const load = (file) => JSON.parse(fs.readFileSync(path.join(root, file), 'utf8'));
const names = (folder) => fs.readdirSync(path.join(root, folder)).filter((name) => name.endsWith('.schema.json'));
const components = Object.fromEntries(names('components').map((name) => [name.replace('.schema.json', ''), load(`components/${name}`)]));
const verbs = Object.fromEntries(names('verbs').map((name) => {
  const schema = load(`verbs/${name}`);
  return [schema.$id.split('/').pop(), schema];
}));

// mulberry32: the same seed gives the same documents.
let state = input.seed >>> 0;
const random = () => {
  state = (state + 0x6d2b79f5) >>> 0;
  let t = state;
  t = Math.imul(t ^ (t >>> 15), t | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
};
const pick = (list) => list[Math.floor(random() * list.length)];
const chance = (share) => random() < share;

const resolve = (ref) => {
  const name = ref.split('/').pop();
  return components[name] || verbs[name];
};
const urls = ['https://a.example.com/x', '/relative', 'wss://b.example.com/ws?x=1', 'event-name', 'http://c.example.com:8080/ü', ''];
const words = ['a', 'support-23', 'agent', 'Zoë 😀', '#', '5000', 'true', '"quoted" \\', 'forever', 'x'.repeat(200)];
const numbers = [0, 1, 2, -1, 2.5, 10, 480, 8000, 16000, 1e9, -5.5, 1e21, 0.001];
const anything = (depth = 2) => {
  const kinds = [() => pick(words), () => pick(numbers), () => chance(0.5), () => null];
  if (depth > 0) {
    kinds.push(() => [anything(depth - 1), anything(depth - 1)]);
    kinds.push(() => ({[pick(words)]: anything(depth - 1), aKey: anything(depth - 1)}));
  }
  return pick(kinds)();
};
// Objects in which the schemas allow anything, with what programs write into them.
const free = {
  listen: () => pick([{}, {url: 'wss://b.example.com/fork', sampleRate: 16000, mixType: 'mixed', metadata: anyObject()}, {enable: false}]),
  stream: () => pick([{}, {url: '/fork', wsAuth: {username: 'u', password: 'p'}, other: anything()}]),
  say: () => pick([{}, {text: 'hello'}, {text: ['a', 'b'], loop: 2, synthesizer: {vendor: 'google', language: 'en-US'}}]),
  play: () => pick([{}, {url: 'https://a.example.com/x.mp3', loop: 'forever'}]),
  record: () => pick([{}, {path: 'recordings/x.wav'}, {action: 'startCallRecording', siprecServerURL: 'sip:a@b'}]),
  dtmfCapture: () => pick([{}, {parentCall: ['*1'], childCall: ['*2', '**']}]),
};
const anyObject = () => ({aKey: anything(), 7: anything(), snake_key: anything()});

const instance = (schema, name, depth = 0) => {
  if (!schema) return anything();
  if (schema.$ref) return instance(resolve(schema.$ref), name, depth);
  if (schema.const !== undefined) return schema.const;
  if (schema.enum) return pick(schema.enum);
  if (schema.oneOf) return instance(pick(schema.oneOf), name, depth);
  switch (schema.type) {
    case 'string':
      if (schema.format === 'uri') return pick(urls);
      // These must not be empty here.
      return chance(0.05) && !['name', 'speakOnlyTo'].includes(name) ? '' : pick(words);
    case 'number': {
      const {minimum = -Infinity, maximum = Infinity} = schema;
      return pick([...numbers, 0, 1].filter((number) => number >= minimum && number <= maximum));
    }
    case 'integer': return 3;
    case 'boolean': return chance(0.5);
    case 'array': {
      const count = Math.max(schema.minItems || 0, Math.floor(random() * 4));
      return Array.from({length: count}, () => instance(schema.items, name, depth + 1));
    }
    case 'object': {
      if (name === 'headers') return {'X-One': pick(words), 'x-two': 'b'};
      if (!schema.properties) return (free[name] || anyObject)();
      const object = {};
      for (const [key, inner] of Object.entries(schema.properties)) {
        const wanted = (schema.required || []).includes(key) || key === 'verb' || chance(depth > 1 ? 0.2 : 0.5);
        if (wanted) object[key] = instance(inner, key, depth + 1);
      }
      if (chance(0.3) && schema.additionalProperties !== false) object.notInTheSchema = anything();
      return object;
    }
    default: return anything();
  }
};
const allowed = (verb) => {
  const {verb: name, ...data} = verb;
  try {
    validateVerb(name === 'room' ? 'conference' : name, data, console);
    return true;
  } catch {
    return false;
  }
};

const read = (name) => input.read.includes(name) || name === 'room' || name === 'stream';
const good = [];
const bad = [];
const spoilers = [5, true, 'zzz', [], {}, [1], [{}], {a: 1}];
for (const name of Object.keys(verbs)) {
  for (let round = 0; round < input.count; round++) {
    let verb;
    // The schemas have rules, in options of single vendors, that this generator does not know.
    for (let attempt = 0; attempt < 100; attempt++) {
      verb = instance(verbs[name], name);
      if (name === 'room') verb.verb = 'room';
      if (allowed(verb)) break;
    }
    // What is not run is not looked at, and some of those schemas are beyond this generator.
    if (!read(name)) {
      good.push({verb: name, document: [verb]});
      continue;
    }
    if (!allowed(verb)) throw new Error(`not what its own schema allows: ${JSON.stringify(verb)}`);
    if (chance(0.3)) {
      const {verb: written, ...data} = verb;
      good.push({verb: name, document: [{[written]: data}]});
    } else {
      good.push({verb: name, document: [verb]});
    }
    // Spoil a property, or one of an object in it, or leave a required one out.
    const schema = name === 'room' ? verbs.conference : verbs[name];
    const spoilt = structuredClone(verb);
    const key = pick(Object.keys(schema.properties || {}).filter((key) => key !== 'verb').concat('id'));
    const deep = ['actionHook', 'target', 'wsAuth', 'bidirectionalAudio', 'auth'];
    const inner = Array.isArray(spoilt[key]) ? spoilt[key][0] : spoilt[key];
    if (deep.includes(key) && inner && typeof inner === 'object' && chance(0.6)) {
      const innerKey = pick(Object.keys(inner));
      if (chance(0.3)) delete inner[innerKey]; else inner[innerKey] = pick(spoilers);
    } else if ((schema.required || []).includes(key) && chance(0.4)) {
      delete spoilt[key];
    } else {
      spoilt[key] = pick(spoilers);
    }
    // A confirmHook as text fits two of the schema's alternatives, so that it takes it for none; a number is a header here.
    const forgiven = key === 'target' && inner && (typeof inner.confirmHook === 'string' || inner.headers?.a === 1);
    if (!allowed(spoilt) && !forgiven) bad.push({verb: name, document: [spoilt]});
  }
}

// The packages' own data: their validator says whether they are right; unknown properties are no fault here.
const shipped = [];
const quiet = {info() {}, error() {}, debug() {}};
const old = require('@jambonz/verb-specifications');
const judge = (document, from) => {
  let fault = null;
  try {
    old.validate(quiet, document);
  } catch (error) {
    fault = error.message;
  }
  shipped.push({from, document, fault});
};
const data = path.join(path.dirname(require.resolve('@jambonz/node-client')), '../test/data');
for (const folder of ['good', 'bad']) {
  for (const file of fs.readdirSync(path.join(data, folder))) {
    const document = JSON.parse(fs.readFileSync(path.join(data, folder, file), 'utf8'));
    judge(Array.isArray(document) ? document : [document], `${folder}/${file}`);
  }
}
// Their test program, with its test library replaced: every array that it validates is judged here too.
const originals = Module._load;
Module._load = function(request, parent, isMain) {
  if (request === 'tape') {
    return (_name, run) => run({ok() {}, fail() {}, end() {}, pass() {}, throws(action) { try { action(); } catch { /* expected */ } }});
  }
  if (request === 'pino') return () => quiet;
  if (request === '..') return {...old, validate: (_logger, document) => judge(structuredClone(document), 'jambonz-verb-test.js')};
  return originals.call(this, request, parent, isMain);
};
const specifications = path.dirname(require.resolve('@jambonz/verb-specifications'));
// It assigns to undeclared names.
const program = fs.readFileSync(path.join(specifications, 'test/jambonz-verb-test.js'), 'utf8');
new Function('require', program)((request) => Module._load(request, module, false));
Module._load = originals;

const ajv = new Ajv({strict: false, validateSchema: false, logger: false, allErrors: true});
formats(ajv, ['date-time']);
for (const schema of Object.values(components)) ajv.addSchema(schema);
for (const name of names('callbacks')) ajv.addSchema(load(`callbacks/${name}`));
const bodies = input.bodies.map(({schema, body}) => {
  const check = ajv.getSchema(`https://jambonz.org/schema/callbacks/${schema}`);
  if (!check) return `there is no schema ${schema}`;
  return check(body) ? null : ajv.errorsText(check.errors);
});

process.stdout.write(JSON.stringify({good, bad, shipped, bodies}));
