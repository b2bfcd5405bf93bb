// SIP messages as they travel over a WebSocket: one a frame (RFC 3261 §7, RFC 7118 §4).

const COMPACT = {
  a: 'accept-contact', b: 'referred-by', c: 'content-type', e: 'content-encoding', f: 'from', i: 'call-id', k: 'supported',
  l: 'content-length', m: 'contact', o: 'event', r: 'refer-to', s: 'subject', t: 'to', u: 'allow-events', v: 'via', x: 'session-expires',
};
const MOST = 64 * 1024;

export class SyntaxFault extends Error {}

/** A request (method, uri) or a response (status, reason), with headers in their order. */
export class Message {
  headers = []; // [name in lower case, value]
  body = '';

  static request(method, uri, headers = [], body = '') {
    return Object.assign(new Message(), { method, uri, headers, body });
  }

  get(name) {
    return this.headers.find(([n]) => n === name)?.[1] ?? null;
  }

  all(name) {
    return this.headers.filter(([n]) => n === name).map(([, value]) => value);
  }

  /** Values of a header that may be written as a list: Via, Route, Contact, Supported … */
  list(name) {
    return this.all(name).flatMap((value) => split(value, ',')).filter((value) => value);
  }

  set(name, value) {
    const at = this.headers.findIndex(([n]) => n === name);
    if (at < 0) this.headers.push([name, value]);
    else this.headers[at] = [name, value];
    return this;
  }

  get cseq() {
    const [number, method] = (this.get('cseq') ?? '').trim().split(/\s+/);
    return { number: Number(number), method };
  }

  get branch() {
    return parameters(split(this.list('via')[0] ?? '', ';').slice(1)).branch ?? '';
  }

  get from() { return address(this.get('from')); }
  get to() { return address(this.get('to')); }
  get contact() { return address(this.list('contact')[0]); }

  toString() {
    const first = this.method ? `${this.method} ${this.uri} SIP/2.0` : `SIP/2.0 ${this.status} ${this.reason}`;
    const lines = this.headers.filter(([name]) => name !== 'content-length').map(([name, value]) => `${title(name)}: ${oneLine(value)}`);
    const length = new TextEncoder().encode(this.body).length;
    return `${[first, ...lines, `Content-Length: ${length}`].join('\r\n')}\r\n\r\n${this.body}`;
  }
}

// What came from a person or a server must not be able to add a line.
const oneLine = (value) => String(value).replace(/[\r\n]+/g, ' ');
const UNUSUAL = { 'call-id': 'Call-ID', cseq: 'CSeq', 'www-authenticate': 'WWW-Authenticate', 'x-calluuid': 'X-CallUUID' };
const title = (name) => UNUSUAL[name] ?? name.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase());

/** Reads one message; throws SyntaxFault with what is wrong. */
export function parse(text) {
  if (text.length > MOST) throw new SyntaxFault('the message is too long');
  const end = /\r?\n\r?\n/.exec(text);
  if (!end) throw new SyntaxFault('the headers have no end');
  const lines = text.slice(0, end.index).replace(/\r?\n[ \t]+/g, ' ').split(/\r?\n/);
  const message = new Message();
  const status = /^SIP\/2\.0 ([1-6]\d\d) ?(.*)$/i.exec(lines[0]);
  const request = /^([A-Za-z0-9.!%*_+`'~-]+) (\S+) SIP\/2\.0$/i.exec(lines[0]);
  if (status) Object.assign(message, { status: Number(status[1]), reason: status[2] });
  else if (request) Object.assign(message, { method: request[1], uri: request[2] });
  else throw new SyntaxFault('the first line is neither a request nor a response');
  for (const line of lines.slice(1)) {
    const field = /^([^\s:]+)[ \t]*:[ \t]*(.*?)[ \t]*$/.exec(line);
    if (!field) throw new SyntaxFault(`not a header: ${line.slice(0, 40)}`);
    const name = field[1].toLowerCase();
    message.headers.push([COMPACT[name] ?? name, field[2]]);
  }
  for (const name of ['via', 'from', 'to', 'call-id', 'cseq']) if (!message.get(name)) throw new SyntaxFault(`${name} is missing`);
  const { number, method } = message.cseq;
  if (!Number.isInteger(number) || number < 0 || number >= 2 ** 31 || !method || (message.method && method !== message.method)) throw new SyntaxFault('CSeq is malformed');
  message.body = body(message, text.slice(end.index + end[0].length));
  return message;
}

function body(message, rest) {
  const written = message.get('content-length');
  if (written === null) return rest;
  const bytes = new TextEncoder().encode(rest);
  if (!/^\d+$/.test(written) || Number(written) > bytes.length) throw new SyntaxFault('Content-Length does not fit the body');
  return new TextDecoder().decode(bytes.subarray(0, Number(written)));
}

/** Splits at a separator outside quotes and angle brackets. */
export function split(text, separator) {
  const parts = [''];
  let [quoted, angle, escaped] = [false, false, false];
  for (const c of text) {
    if (c === separator && !quoted && !angle) {
      parts.push('');
      continue;
    }
    parts[parts.length - 1] += c;
    if (escaped) escaped = false;
    else if (quoted && c === '\\') escaped = true;
    else if (c === '"') quoted = !quoted;
    else if (!quoted && c === '<') angle = true;
    else if (!quoted && c === '>') angle = false;
  }
  return parts.map((part) => part.trim());
}

export const unquote = (text) => (/^".*"$/s.test(text) ? text.slice(1, -1).replace(/\\(.)/gs, '$1') : text);
export const quote = (text) => `"${String(text).replace(/["\\]/g, '\\$&')}"`;

export function parameters(parts) {
  const found = Object.create(null);
  for (const part of parts.filter(Boolean)) {
    const equals = part.indexOf('=');
    const name = (equals < 0 ? part : part.slice(0, equals)).trim().toLowerCase();
    found[name] ??= equals < 0 ? '' : unquote(part.slice(equals + 1).trim());
  }
  return found;
}

/** `"Anna" <sip:anna@x>;tag=1` → { name, uri, user, params }; a bare URI's parameters are the header's (§20.10). */
export function address(value) {
  if (!value) return null;
  const [first, ...rest] = split(value, ';');
  const bracketed = /^(.*?)<([^>]*)>$/s.exec(first);
  const uri = bracketed ? bracketed[2] : first;
  const user = /^sips?:([^@;?]*)@/i.exec(uri)?.[1].split(':')[0] ?? /^tel:([^;]*)/i.exec(uri)?.[1] ?? '';
  return { name: bracketed ? unquote(bracketed[1].trim()) : '', uri, user: decode(user), params: parameters(rest) };
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
