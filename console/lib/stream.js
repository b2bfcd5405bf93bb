// Server-sent events read by fetch: EventSource cannot carry a key in a header, and a key in a URL ends up in logs.
import { Problem } from './api.js';
import { Backoff } from './backoff.js';

const SILENCE = 5_000; // the server pings each 2 s: what is shown later is not known to be true
const ANSWER = 15_000; // for the server to open a stream
const FINAL = new Set([400, 401, 403, 404, 410]);

export class EventStream {
  #url; #headers; #on; #abort = null; #watch = null; #timer = null; #closed = false;
  #backoff = new Backoff(500, 15_000);
  #hurry = () => { if (this.#timer) this.#connect(); };
  #cut = () => this.#abort.abort(); // the browser knows sooner than the missing ping

  constructor(url, headers, handlers) {
    [this.#url, this.#headers, this.#on] = [url, headers, handlers];
    addEventListener('online', this.#hurry);
    addEventListener('offline', this.#cut);
    this.#connect();
  }

  close() {
    this.#finish(null);
  }

  #finish(problem) {
    if (this.#closed) return;
    this.#closed = true;
    removeEventListener('online', this.#hurry);
    removeEventListener('offline', this.#cut);
    clearTimeout(this.#timer);
    clearTimeout(this.#watch);
    this.#abort?.abort();
    this.#on.state?.('closed', problem);
  }

  async #connect() {
    clearTimeout(this.#timer);
    this.#timer = null;
    const abort = this.#abort = new AbortController();
    this.#on.state?.('connecting');
    this.#expect(ANSWER);
    let problem = Problem.unreachable();
    try {
      const response = await fetch(this.#url, {
        headers: { accept: 'text/event-stream', ...this.#headers }, credentials: 'omit', cache: 'no-store', signal: abort.signal,
      });
      if (!response.ok) {
        problem = await Problem.from(response);
        if (FINAL.has(response.status)) return this.#finish(problem);
      } else {
        this.#on.state?.('open');
        this.#expect(SILENCE);
        await this.#read(response.body);
      }
    } catch {
      // The connection broke, or was given up for silence: both are tried again.
    }
    abort.abort();
    clearTimeout(this.#watch);
    if (this.#closed) return;
    this.#timer = setTimeout(() => this.#connect(), this.#backoff.next());
    this.#on.state?.('waiting', problem);
  }

  async #read(body) {
    const parser = new EventParser();
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done || this.#closed) return;
      this.#expect(SILENCE);
      for (const { name, data } of parser.push(value)) {
        this.#backoff.reset();
        if (name !== 'ping' && !this.#closed) this.#tell(name, data);
      }
    }
  }

  #tell(name, data) {
    try {
      this.#on.event(name, JSON.parse(data || 'null'));
    } catch (error) {
      reportError(error); // a fault in a page is not a lost connection
    }
  }

  /** Gives the connection up unless something comes within `ms`. */
  #expect(ms) {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(this.#cut, ms);
  }
}

/** Splits text into events (WHATWG HTML §9.2.6): push() gives those that are complete. */
export class EventParser {
  #rest = ''; #name = ''; #data = [];

  push(text) {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop();
    const events = [];
    for (const line of lines) {
      if (line === '') {
        if (this.#data.length) events.push({ name: this.#name || 'message', data: this.#data.join('\n') });
        [this.#name, this.#data] = ['', []];
        continue;
      }
      const colon = line.indexOf(':');
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
      if (field === 'event') this.#name = value;
      if (field === 'data') this.#data.push(value);
    }
    return events;
  }
}
