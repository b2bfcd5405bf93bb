// The WebSocket under SIP (RFC 7118): kept alive by CRLF (RFC 5626 §4.4.1), opened again when it breaks.
import { Backoff } from '../backoff.js';

const PING = 25_000;
const PATIENCE = 10_000; // for a connection to open, and for a pong where the server is known to send them

export class SipSocket extends EventTarget {
  #url; #socket = null; #wanted = false; #pongs = false; #pinging; #patience; #again = null;
  #backoff = new Backoff(500, 15_000);
  #online = () => (this.isOpen ? this.#ping() : this.#again && this.#connect());

  /** `path` is of the page's own server. */
  constructor(path) {
    super();
    this.#url = new URL(path, location.href);
    this.#url.protocol = this.#url.protocol.replace('http', 'ws');
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** `WS` or `WSS`, as a Via header names it. */
  get transport() {
    return this.#url.protocol.slice(0, -1).toUpperCase();
  }

  open() {
    if (this.#wanted) return;
    this.#wanted = true;
    addEventListener('online', this.#online);
    this.#connect();
  }

  close() {
    this.#wanted = false;
    removeEventListener('online', this.#online);
    clearTimeout(this.#again);
    this.#drop();
  }

  /** False where the connection is down: nothing is kept for later. */
  send(message) {
    if (!this.isOpen) return false;
    this.#socket.send(String(message));
    return true;
  }

  #connect() {
    clearTimeout(this.#again);
    this.#again = null;
    const socket = this.#socket = new WebSocket(this.#url, 'sip');
    socket.binaryType = 'arraybuffer';
    this.#expect(socket);
    socket.onopen = () => {
      clearTimeout(this.#patience);
      this.#pinging = setInterval(() => this.#ping(), PING);
      this.dispatchEvent(new Event('open'));
    };
    socket.onmessage = ({ data }) => {
      clearTimeout(this.#patience);
      this.#backoff.reset();
      const text = typeof data === 'string' ? data : new TextDecoder().decode(data);
      if (text.trim()) this.dispatchEvent(new CustomEvent('message', { detail: text }));
      else this.#pongs = true;
    };
    socket.onclose = () => this.#drop();
  }

  #ping() {
    this.send('\r\n\r\n');
    if (this.#pongs) this.#expect(this.#socket);
  }

  #expect(socket) {
    clearTimeout(this.#patience);
    this.#patience = setTimeout(() => socket === this.#socket && this.#drop(), PATIENCE);
  }

  // Not left to the browser's close event: a dead network delays that by minutes.
  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    clearInterval(this.#pinging);
    clearTimeout(this.#patience);
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
    if (this.#wanted) this.#again = setTimeout(() => this.#connect(), this.#backoff.next());
    this.dispatchEvent(new Event('down'));
  }
}
