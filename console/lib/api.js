// The native API: requests, refusals as sentences, and live streams.
import { EventStream } from './stream.js';

/** A refusal (RFC 9457), or, with status 0, a server that was not reached. Its message is for a person. */
export class Problem extends Error {
  constructor({ status, title = '', detail = '', body = null }) {
    super(sentence(status, detail || title));
    Object.assign(this, { name: 'Problem', status, title, detail, code: body?.code ?? null, body });
  }

  /** Trying the same again can help. */
  get temporary() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }

  static async from(response) {
    const body = await response.json().catch(() => null);
    return new Problem({ status: response.status, title: body?.title, detail: body?.detail, body });
  }

  static unreachable() {
    return new Problem({ status: 0, detail: 'The server cannot be reached. Check the network connection.' });
  }
}

const DEFAULTS = {
  401: 'The server does not accept this sign-in.',
  403: 'You are not allowed to do this.',
  404: 'There is no such thing here; it may have ended.',
  410: 'This has already been used or has ended.',
  429: 'Too many requests. Wait a moment and try again.',
  503: 'The server is busy. Try again in a moment.',
};

function sentence(status, detail) {
  const text = detail && !/^[A-Z][a-z]+( [A-Z][a-z]+)*$/.test(detail) ? detail : DEFAULTS[status] ?? `The server answered ${status}.`;
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.');
}

export class Api {
  #headers = {};
  #base;

  /** `who` is { key }, { basic: { username, password } } or nothing. */
  constructor(who = {}, base = '/api/v1') {
    this.#base = base;
    if (who.key) this.#headers.authorization = `Bearer ${who.key}`;
    if (who.basic) this.#headers.authorization = `Basic ${base64(`${who.basic.username}:${who.basic.password}`)}`;
  }

  get = (path) => this.#send('GET', path);
  post = (path, body) => this.#send('POST', path, body);
  put = (path, body) => this.#send('PUT', path, body);
  patch = (path, body) => this.#send('PATCH', path, body);
  delete = (path, body) => this.#send('DELETE', path, body);

  /** Events of `path` until closed: { event(name, data), state(name, problem) }. */
  stream(path, handlers) {
    return new EventStream(this.#base + path, this.#headers, handlers);
  }

  async #send(method, path, body) {
    const headers = { accept: 'application/json', ...this.#headers };
    if (body !== undefined) headers['content-type'] = 'application/json';
    let response;
    try {
      response = await fetch(this.#base + path, {
        method, headers, body: body === undefined ? undefined : JSON.stringify(body),
        credentials: 'omit', cache: 'no-store', signal: AbortSignal.timeout(15_000),
      });
    } catch {
      throw Problem.unreachable();
    }
    if (!response.ok) throw await Problem.from(response);
    const text = await response.text();
    return text ? JSON.parse(text) : null;
  }
}

function base64(text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}
