import { type IncomingMessage, type Server, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Handler } from 'express';
import { WebSocketServer } from 'ws';
import { asHildaError, HildaError } from '../core/errors.js';
import { closeInTime } from './close-in-time.js';
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

/** The answer to a plain request at a channel's address. */
export const refusePlain: Handler = ({ path }, response) => {
  response.set({ Upgrade: 'websocket', Connection: 'Upgrade' });
  throw new HildaError('UPGRADE_REQUIRED', `${path} is a websocket`);
};

/** A channel takes no more than `maxClients`. */
export const refuseFull = (socket: Duplex, maxClients: number): void =>
  refuseUpgrade(
    socket,
    new HildaError('CHANNEL_FULL', `${maxClients} clients are connected`, { details: { maxClients } }),
    { 'Retry-After': '5' },
  );

/** A channel's server: handshakes that are malformed get a problem document as well. */
export function channelServer(options: { readonly maxPayload: number }): WebSocketServer {
  const server = new WebSocketServer({ noServer: true, perMessageDeflate: false, ...options });
  server.on('wsClientError', (error, socket) =>
    refuseUpgrade(socket, new HildaError('UPGRADE_REQUIRED', error.message), {
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13, 8',
    }),
  );
  return server;
}

/** Answers a socket that has no response, as a handshake has none, with an error's status and problem document. */
export function refuseUpgrade(
  socket: Duplex,
  why: HildaError,
  headers: Readonly<Record<string, string>> = {},
): void {
  const [status, body] = [why.httpStatus, JSON.stringify(toProblem(why))];
  const lines = Object.entries({
    Connection: 'close',
    'Content-Type': 'application/problem+json',
    'Cache-Control': 'no-store',
    'Content-Length': Buffer.byteLength(body),
    ...headers,
  });
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  closeInTime(socket);
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${head}\r\n${body}`);
}
