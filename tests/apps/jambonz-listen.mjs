// Loaded before a program (node --import): reports every text frame that its WebSockets receive, and lets it listen on the port that PORT names instead
// of the one that stands in its code. The program itself stays as it is.

import net from 'node:net';
import { WebSocket } from 'ws';

const report = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

if (process.env.PORT !== undefined) {
  const listen = net.Server.prototype.listen;
  net.Server.prototype.listen = function (port, ...rest) {
    if (typeof port !== 'number') return listen.call(this, port, ...rest);
    this.once('listening', () => report({ listening: { asked: port, port: this.address().port } }));
    return listen.call(this, Number(process.env.PORT), ...rest);
  };
}

let sockets = 0;
const numbers = new WeakMap();
const number = (socket) => numbers.get(socket) ?? (numbers.set(socket, (sockets += 1)), sockets);
const emit = WebSocket.prototype.emit;
WebSocket.prototype.emit = function (event, data, isBinary) {
  if (event === 'message' && !isBinary) {
    const text = data.toString();
    let frame = null;
    try { frame = JSON.parse(text); } catch { /* reported as it is */ }
    report({ socket: number(this), protocol: this.protocol, frame, text: frame === null ? text : undefined });
  }
  if (event === 'close') report({ socket: number(this), closed: data });
  return emit.apply(this, arguments);
};
