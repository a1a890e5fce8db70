import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { WebSocket } from 'ws';
import { wsConnection } from '../api/ws-connection.js';
import { HildaError } from '../core/errors.js';
import type { Connection } from '../devices/connection.js';

export interface ConnectOptions {
  readonly signal: AbortSignal;
  /** SHA-256 of the server's certificate, which is then trusted on that ground alone. */
  readonly fingerprint?: string;
}

const bare = (fingerprint: string): string => fingerprint.replace(/[^0-9a-f]/gi, '').toLowerCase();

/** Opens a ws connection. Throws DAEMON_UNREACHABLE, ATTEMPTS_LIMITED; PAIRING_REFUSED where the certificate is not the one that was named. */
export function connectWs(url: string, { signal, fingerprint }: ConnectOptions): Promise<Connection> {
  const socket = new WebSocket(url, {
    perMessageDeflate: false,
    handshakeTimeout: 10_000,
    // With a pinned certificate no authority is asked: the pin is checked before anything is said.
    ...(fingerprint !== undefined && { rejectUnauthorized: false }),
  });
  const connection = wsConnection(socket, url);
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      socket.terminate();
      reject(signal.reason);
    };
    signal.addEventListener('abort', abort, { once: true });
    const settle = (): void => signal.removeEventListener('abort', abort);
    let wrong: HildaError | null = null;
    socket.once('upgrade', (response: IncomingMessage) => {
      if (fingerprint === undefined) return;
      const presented = (response.socket as TLSSocket).getPeerCertificate?.()?.fingerprint256 ?? '';
      if (bare(presented) === bare(fingerprint)) return;
      wrong = new HildaError(
        'PAIRING_REFUSED',
        `${url} shows another certificate than the one that was named`,
        {
          hint: 'Somebody may stand in between, or the daemon made a new certificate: ask for a fresh command.',
        },
      );
    });
    socket.once('open', () => {
      settle();
      if (!wrong) return resolve(connection);
      socket.terminate();
      reject(wrong);
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
