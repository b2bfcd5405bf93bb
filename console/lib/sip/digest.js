// Digest answers to 401 and 407 (RFC 3261 §22, RFC 7616, RFC 8760).
import { randomId } from '../dom.js';
import { md5, sha256 } from './hash.js';
import { parameters, quote, split } from './message.js';

const HASHES = { 'SHA-256': sha256, MD5: md5 }; // the first that is offered is taken

/** The challenges of a 401 or 407 that can be answered, the strongest first. */
export function challenges(response) {
  const header = response.status === 407 ? 'proxy-authenticate' : 'www-authenticate';
  const found = [];
  for (const value of response.all(header)) {
    const [, scheme, rest] = /^\s*(\S+)\s+(.*)$/s.exec(value) ?? [];
    if (scheme?.toLowerCase() !== 'digest') continue;
    const given = parameters(split(rest, ','));
    const algorithm = (given.algorithm ?? 'MD5').toUpperCase();
    const usable = HASHES[algorithm] && given.nonce && given.realm !== undefined && (!given.qop || split(given.qop, ',').includes('auth'));
    if (usable) found.push({ ...given, algorithm });
  }
  const order = Object.keys(HASHES);
  return found.sort((a, b) => order.indexOf(a.algorithm) - order.indexOf(b.algorithm));
}

/** Value of the Authorization header. `count` is how often this nonce has been used, this time included. */
export function answer(challenge, { username, password }, method, uri, count, cnonce = randomId(12)) {
  const { realm, nonce, opaque, algorithm, qop } = challenge;
  const hash = HASHES[algorithm];
  const nc = count.toString(16).padStart(8, '0');
  const middle = qop ? `${nonce}:${nc}:${cnonce}:auth` : nonce;
  const response = hash(`${hash(`${username}:${realm}:${password}`)}:${middle}:${hash(`${method}:${uri}`)}`);
  const fields = [
    `username=${quote(username)}`, `realm=${quote(realm)}`, `nonce=${quote(nonce)}`, `uri=${quote(uri)}`, `response="${response}"`, `algorithm=${algorithm}`,
    qop && `qop=auth, nc=${nc}, cnonce="${cnonce}"`, opaque !== undefined && `opaque=${quote(opaque)}`,
  ];
  return `Digest ${fields.filter(Boolean).join(', ')}`;
}

/** Remembers the last challenge, so that only the first request is sent twice. */
export class Credentials {
  #who; #challenge = null; #header = ''; #count = 0;

  constructor(username, password) {
    this.#who = { username, password };
  }

  /** Signs a request with the challenge at hand, if any. */
  sign(request) {
    if (this.#challenge) request.set(this.#header, answer(this.#challenge, this.#who, request.method, request.uri, ++this.#count));
  }

  /** Whether the same request, signed anew, may be accepted. A second refusal means a wrong password, unless only the nonce was stale. */
  take(response, attempt) {
    const [challenge] = challenges(response);
    if (!challenge) return false;
    [this.#challenge, this.#count] = [challenge, 0];
    this.#header = response.status === 407 ? 'proxy-authorization' : 'authorization';
    return attempt === 0 || (attempt === 1 && challenge.stale?.toLowerCase() === 'true');
  }
}
