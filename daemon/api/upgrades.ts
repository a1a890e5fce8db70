import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { asHildaError } from '../core/errors.js';

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
      refuseUpgrade(socket, `${asHildaError(thrown).httpStatus} Forbidden`);
      return;
    }
    const handler = handlers[request.url?.split('?')[0] ?? ''];
    if (handler) handler(request, socket, head);
    else refuseUpgrade(socket, '404 Not Found');
  });
}

export function refuseUpgrade(
  socket: Duplex,
  status: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  const lines = Object.entries({ Connection: 'close', 'Content-Length': '0', ...headers });
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  socket.end(`HTTP/1.1 ${status}\r\n${head}\r\n`);
}
