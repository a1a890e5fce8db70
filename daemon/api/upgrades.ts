import { type IncomingMessage, type Server, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { asHildaError, HildaError } from '../core/errors.js';
import { toProblem } from './problem.js';

export type UpgradeHandler = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

/** Sends each ws handshake that the guard lets pass to the handler of its path. */
export function routeUpgrades(
  http: Server,
  guard: (request: IncomingMessage) => void,
  handlers: Readonly<Record<string, UpgradeHandler>>,
): void {
  http.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy());
    try {
      guard(request);
    } catch (thrown) {
      refuseUpgrade(socket, asHildaError(thrown));
      return;
    }
    const path = request.url?.split('?')[0] ?? '';
    const handler = Object.hasOwn(handlers, path) ? handlers[path] : undefined;
    if (handler) handler(request, socket, head);
    else refuseUpgrade(socket, new HildaError('NOT_FOUND', `no channel is at ${path}`));
  });
}

/** Answers a handshake with an error's status and problem document, or with a bare status. */
export function refuseUpgrade(
  socket: Duplex,
  why: HildaError | number,
  headers: Readonly<Record<string, string>> = {},
): void {
  const [status, body] =
    typeof why === 'number' ? [why, ''] : [why.httpStatus, JSON.stringify(toProblem(why))];
  const lines = Object.entries({
    Connection: 'close',
    ...(body && { 'Content-Type': 'application/problem+json' }),
    'Content-Length': Buffer.byteLength(body),
    ...headers,
  });
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${head}\r\n${body}`);
}
