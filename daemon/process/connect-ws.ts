import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import { wsConnection } from '../api/ws-connection.js';
import { HildaError } from '../core/errors.js';
import type { Connection } from '../devices/connection.js';
import { dialFault } from '../faults/edges/ws.js';
import { openTrusted, type Trust } from './trust.js';

export interface ConnectOptions extends Trust {
  readonly signal: AbortSignal;
  /** Hears the pin of a daemon that was trusted by `pin` or `fingerprint`, once the connection is open. */
  readonly onMet?: (pin: string) => void;
}

/**
 * Opens a ws connection. Throws DAEMON_UNREACHABLE, ATTEMPTS_LIMITED; DAEMON_MISMATCH, before anything is said, where the
 * daemon is not the one that was named.
 */
export async function connectWs(url: string, options: ConnectOptions): Promise<Connection> {
  const { signal, pin, fingerprint, onMet } = options;
  const named = pin !== undefined || fingerprint !== undefined;
  const address = new URL(url);
  if (named && address.protocol !== 'wss:')
    throw new HildaError(
      'DAEMON_MISMATCH',
      `${address.origin} is no wss address: nothing there proves a key`,
    );
  dialFault(url);
  const met = named ? await openTrusted(address, options, signal) : null;
  const connection = await open(url, {
    signal,
    socket: new WebSocket(url, {
      perMessageDeflate: false,
      handshakeTimeout: 10_000,
      ...(met && { createConnection: () => met.socket }),
    }),
  });
  if (met) onMet?.(met.pin);
  return connection;
}

function open(
  url: string,
  { signal, socket }: { readonly signal: AbortSignal; readonly socket: WebSocket },
): Promise<Connection> {
  let line: Socket | undefined;
  const connection = wsConnection(socket, url, () => line);
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      socket.terminate();
      reject(signal.reason);
    };
    signal.addEventListener('abort', abort, { once: true });
    const settle = (): void => signal.removeEventListener('abort', abort);
    socket.once('upgrade', (response: IncomingMessage) => {
      line = response.socket;
    });
    socket.once('open', () => {
      settle();
      resolve(connection);
    });
    socket.once('unexpected-response', (request, response: IncomingMessage) => {
      settle();
      request.destroy();
      const { statusCode, headers } = response;
      const retryAfterS = Number(headers['retry-after'] ?? 60);
      if (statusCode === 429)
        reject(
          new HildaError('ATTEMPTS_LIMITED', `${url} takes no more attempts for ${retryAfterS} s`, {
            details: { retryAfterS },
          }),
        );
      else
        reject(
          new HildaError('DAEMON_UNREACHABLE', `${url} answered ${statusCode} in place of a connection`),
        );
    });
    socket.once('error', (cause) => {
      settle();
      reject(
        new HildaError('DAEMON_UNREACHABLE', `no daemon answers at ${url}: ${cause.message}`, { cause }),
      );
    });
  });
}
