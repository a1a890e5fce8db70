import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import type { AttemptLimit } from '../access/attempt-limit.js';
import type { Clock } from '../core/clock.js';
import { asHildaError, type HildaError } from '../core/errors.js';
import type { Connection } from '../devices/connection.js';
import type { Admit, JoinKeys } from '../devices/join-keys.js';
import { refuseFull, refuseUpgrade } from './upgrades.js';
import { wsConnection } from './ws-connection.js';

export interface JoinChannelOptions {
  /** What takes in those who come; they prove who they are with their first message. Answers with why one was refused. */
  readonly accept: (connection: Connection, admit: Admit) => Promise<HildaError | null>;
  readonly clock: Clock;
  /** Shared by the channels, so that a guesser gets no second round at another path. */
  readonly attempts: AttemptLimit;
  /**
   * Who was invited by the pairing that a handshake names (`?visit=`). Many may have one address, behind a tunnel or a proxy:
   * those who are known by it are counted apart, so that none is kept waiting for what another one did.
   */
  readonly guestOf: JoinKeys['guestOf'];
  readonly maxClients?: number;
  /** Silence after which a client is asked for a sign of life, and by the next time dropped. Any byte is one. */
  readonly pingMs?: number;
}

/** A measurement of 10,000 rounds is about 1 MB of JSON. */
const maxMessageBytes = 8 * 2 ** 20;

/** The ws end of those who join: pages at one path, agents at another. */
export class JoinChannel {
  readonly #options: JoinChannelOptions & Required<Pick<JoinChannelOptions, 'maxClients' | 'pingMs'>>;
  readonly #server = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: maxMessageBytes,
  });
  readonly #lines = new Map<WebSocket, { readonly connection: Connection; heardBytes: number }>();

  constructor(options: JoinChannelOptions) {
    this.#options = { maxClients: 1000, pingMs: 10_000, ...options };
  }

  start(signal: AbortSignal): void {
    void this.#dropTheSilent(signal);
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#upgrade(request, socket, head).catch((thrown: unknown) =>
      refuseUpgrade(socket, asHildaError(thrown)),
    );
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    if (this.#server.clients.size >= this.#options.maxClients) {
      refuseFull(socket, this.#options.maxClients);
      return;
    }
    const peer = request.socket.remoteAddress ?? 'unknown';
    const { accept, attempts } = this.#options;
    const counted = (await this.#guest(request)) ?? peer;
    try {
      attempts.check(counted);
    } catch (thrown) {
      const error = asHildaError(thrown);
      refuseUpgrade(socket, error, { 'Retry-After': String(error.details.retryAfterS) });
      return;
    }
    this.#server.handleUpgrade(request, socket, head, (client) => {
      const connection = wsConnection(client, peer, () => socket as Socket);
      // The handshake came by the same line: nothing was heard on the channel yet.
      this.#lines.set(client, { connection, heardBytes: -1 });
      client.on('close', () => this.#lines.delete(client));
      void accept(connection, (look) => attempts.admit(counted, look));
    });
  }

  async #guest({ url = '' }: IncomingMessage): Promise<string | undefined> {
    const pairing = new URLSearchParams(url.split('?')[1]).get('visit');
    return pairing === null ? undefined : this.#options.guestOf(pairing);
  }

  async stop(): Promise<void> {
    for (const client of this.#server.clients) {
      client.close(1001, 'the daemon is stopping');
      client.terminate();
    }
    this.#server.close();
  }

  async #dropTheSilent(signal: AbortSignal): Promise<void> {
    try {
      for (;;) {
        await this.#options.clock.sleep(this.#options.pingMs, { signal });
        for (const [client, line] of this.#lines) {
          const bytes = line.connection.receivedBytes();
          // Not pongs alone: they queue behind a large message, whose bytes tell as much.
          if (bytes === line.heardBytes) line.connection.drop();
          else client.ping();
          line.heardBytes = bytes;
        }
      }
    } catch {
      // The signal aborted: the channel is stopping.
    }
  }
}
