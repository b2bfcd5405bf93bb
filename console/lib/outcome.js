// Why a call ended: a word for programs, a sentence for people.
import { Problem } from './api.js';
import { MicrophoneError } from './microphone.js';

const WORDS = {
  hung_up: 'You ended the call.',
  given_up: 'You cancelled the call.',
  declined_by_us: 'You declined the call.',
  far_end: 'The other side ended the call.',
  declined: 'The call was declined.',
  busy: 'The line is busy.',
  no_answer: 'Nobody answered.',
  cancelled: 'The caller hung up before you answered.',
  not_found: 'This number is not known here.',
  refused: 'The server does not allow this call.',
  transferred: 'The call was transferred.',
  lost: 'The connection was lost and could not be mended. Check your network, then call again.',
  unreachable: 'The server cannot be reached. Check your network, then try again.',
  full: 'The server takes no more calls just now. Try again in a moment.',
  sound: 'The server and this browser could not agree on how to carry the sound.',
};

const STATUS = { 401: 'refused', 403: 'refused', 404: 'not_found', 407: 'refused', 408: 'no_answer', 410: 'not_found', 480: 'no_answer', 484: 'not_found', 486: 'busy',
  488: 'sound', 503: 'full', 600: 'busy', 603: 'declined', 604: 'not_found', 606: 'sound' };
const REASON = { given_up: 'hung_up', declined_by_us: 'hung_up', unreachable: 'lost', sound: 'failed', full: 'failed', transferred: 'hung_up' };

/** What telephones say of an end that is none but the end. */
const PLAIN = /^(ok|normal( call)? clearing|normal|bye|terminated|call completed|user hung ?up|hang ?up|the peer hung up)?$/i;

/** → { reason, text, status } */
export function outcomeOf({ by, status = 0, reason = '', local, before, error, lost, transferred }) {
  const as = (word, text = WORDS[word]) => ({ reason: REASON[word] ?? word, text, status });
  if (error instanceof MicrophoneError) return as('no_microphone', error.message);
  if (error instanceof Problem) return { reason: error.status ? 'refused' : 'lost', text: error.message, status: error.status };
  if (error) return as('failed', `This browser could not make the call (${error.message}).`);
  if (transferred) return as('transferred');
  if (by === 'us') return as(before === 'live' ? 'hung_up' : before === 'incoming' ? 'declined_by_us' : 'given_up');
  if (lost) return as('lost');
  if (local && status === 503) return as('unreachable');
  if (by === 'far' && before === 'live') return status === 481 || status === 408 ? as('lost', 'The call ended while the connection was lost.') : as('far_end', PLAIN.test(reason.trim()) ? WORDS.far_end : `The other side ended the call: “${reason.trim()}”.`);
  if (by === 'far' && before === 'incoming') return as('cancelled', /elsewhere/i.test(reason) ? 'The call was answered elsewhere.' : WORDS.cancelled);
  if (STATUS[status]) return as(STATUS[status]);
  return as('failed', `The call could not be made just now. Try again in a moment; if it fails again, tell whoever runs this server: ${[status, reason].filter(Boolean).join(' ')}.`);
}
