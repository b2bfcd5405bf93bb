// An application of the library that the first argument names (`old`, `sdk`), on the port that the second one names. Prints
// what it sees, one JSON array in a line: ["listening", port], ["session:new", call], ["session:reconnect", call], [hook, data],
// ["close", code], …
const http = require('http');

const say = (...what) => process.stdout.write(`${JSON.stringify(what)}\n`);
// One of the libraries prints when it is loaded.
console.log = () => {};
const [library, port] = process.argv.slice(2);
const {createEndpoint} = require(library === 'old' ? '@jambonz/node-client-ws' : '@jambonz/sdk/websocket');

const logger = {info() {}, debug() {}, warn() {}, error: (...what) => say('error', what.map(String).join(' '))};
logger.child = () => logger;
const server = http.createServer();
const service = createEndpoint({server, logger})({path: '/app'});

const serve = (kind) => (session) => {
  say(kind, session.call_sid || session.data.call_sid, session.ws.protocol);
  session.on('close', (code) => say('close', code));
  session.on('jambonz:error', (data) => say('jambonz:error', data.details));
  session.on('call:status', (data) => {
    say('call:status', data.call_status);
    session.injectCommand('conf:participant-action', {action: 'coach', tag: 'agent'});
    session.injectCommand('conf:participant-action', {action: 'uncoach'}, '33333333-3333-4333-8333-333333333333');
  });
  session.on('/done', (data) => {
    say('/done', data.call_sid);
    session.say({text: 'done'}).reply();
  });
  // The newer library acknowledges status events too, after this has done so.
  session.on('/status', (data) => {
    say('/status', data.event);
    session.reply();
  });
  session.on('/mute', () => say('/mute'));
  session.on('/malformed', () => {
    session.ws.send('{"type":"command"');
    session.reply();
  });
  session.on('/leave', () => session.ws.close(1000));
  if (kind === 'session:reconnect') session.reply();
  else session.answer().say({text: 'hi'}).conference({name: 'support-23', memberTag: 'agent'}).send();
};

service.on('session:new', serve('session:new'));
if (library === 'old') service.on('session:reconnect', serve('session:reconnect'));
server.listen(Number(port), '127.0.0.1', () => say('listening', server.address().port));
// Whoever has started this holds its input open.
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
