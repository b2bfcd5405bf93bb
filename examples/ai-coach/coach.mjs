// An AI coach: hears what the agent says and what the agent hears, and whispers hints that the agent alone hears.
//
//   /customer   the application of the customers' calls
//   /agent      the application of the agents' calls
//   /coach      where the sound of the agents' calls goes, and hints come from
//
// Environment: PORT (3000), ROOM (support), and the limits below.

import http from 'node:http';
import { createEndpoint } from '@jambonz/sdk/websocket';
import { TalkMeter } from './meter.mjs';
import { think } from './think.mjs';
import { speak } from './voice.mjs';

const room = process.env.ROOM ?? 'support';
const seconds = (name, usual) => Number(process.env[name] ?? usual);
const limits = {
  monologue: seconds('MONOLOGUE_S', 25), // the agent has been talking for this long
  silence: seconds('SILENCE_S', 8),      // nobody has said anything for this long
  share: seconds('SHARE', 0.7),          // the agent's part of the talk, once there are SHARE_AFTER_S of it
  shareAfter: seconds('SHARE_AFTER_S', 60),
};
const pause = seconds('PAUSE_S', 20) * 1000; // between two hints

const server = http.createServer();
const makeService = createEndpoint({ server, logger: { info() {}, error: console.error, debug() {} } });

makeService({ path: '/customer' }).on('session:new', (session) => {
  session.answer().conference({ name: room }).send();
});

makeService({ path: '/agent' }).on('session:new', (session) => {
  session
    .answer()
    .config({
      listen: {
        url: '/coach',
        sampleRate: 8000,
        // Left: the agent. Right: what the agent hears. A human coach's whispers are not in it.
        mixType: 'stereo',
        // What comes back is heard by the agent alone.
        bidirectionalAudio: { enabled: true, streaming: false },
      },
    })
    .conference({ name: room, memberTag: 'agent' })
    .send();
});

makeService.audio({ path: '/coach' }).on('connection', (stream) => {
  const meter = new TalkMeter(stream.sampleRate, limits);
  const name = stream.callSid;
  let quietUntil = 0;
  let thinking = false;
  let hints = 0;
  console.log(`listening to ${name}`);

  const coach = async (cause) => {
    if (thinking || Date.now() < quietUntil) return;
    thinking = true;
    try {
      const hint = await think({ cause, figures: meter.figures(), agent: meter.lately(0), others: meter.lately(1) });
      if (!hint) return;
      const wav = await speak(hint);
      quietUntil = Date.now() + pause;
      hints += 1;
      console.log(`hint to ${name} (${cause}): ${hint}`);
      stream.playAudio(wav.toString('base64'), { audioContentType: 'wav', id: `hint-${hints}`, queuePlay: true });
    } catch (error) {
      console.error(`no hint to ${name}: ${error.message}`);
    } finally {
      thinking = false;
    }
  };

  stream.on('audio', (sound) => meter.hear(sound).forEach(coach));
  stream.on('playDone', ({ id }) => console.log(`${id} to ${name} was heard`));
  stream.on('error', (error) => console.error(`${name}: ${error.message}`));
  stream.on('close', () => console.log(`the call ${name} is over: ${JSON.stringify(meter.figures())}`));
});

server.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => console.log(`ready on port ${server.address().port}`));
