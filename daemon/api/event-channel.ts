import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Clock } from '../core/clock.js';
import { asHildaError } from '../core/errors.js';
import type { Store } from '../store/contract.js';
import { checkHostAndOrigin } from './host-guard.js';
import { Subscriber } from './subscriber.js';

export interface EventChannelOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** Silence after which a client is asked for a sign of life, and by the next time dropped. */
  readonly pingMs?: number;
  /** The store's hint is in-process; another process's events are found by looking this often. */
  readonly pollMs?: number;
  readonly maxClients?: number;
}

/** Pushes the store's events to ws clients at /v1/ws, on the port of the HTTP server. */
export class EventChannel {
  readonly #options: Required<EventChannelOptions>;
  readonly #server = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: 64 * 1024 });
  readonly #subscribers = new Set<Subscriber>();
  #unlisten: (() => void) | undefined;

  constructor(options: EventChannelOptions) {
    this.#options = { pingMs: 15_000, pollMs: 2_000, maxClients: 100, ...options };
  }

  start(http: Server, signal: AbortSignal): void {
    http.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) =>
      this.#upgrade(request, socket, head),
    );
    this.#unlisten = this.#options.store.onEvents(() => this.#wakeAll());
    const { pollMs, pingMs } = this.#options;
    void this.#every(pollMs, () => this.#wakeAll(), signal);
    void this.#every(pingMs, () => this.#dropTheSilent(), signal);
  }

  async stop(): Promise<void> {
    this.#unlisten?.();
    for (const client of this.#server.clients) client.close(1001, 'the daemon is stopping');
    await Promise.all([...this.#subscribers].map((subscriber) => subscriber.stop()));
    // A client that does not answer the closing handshake must not hold the daemon up.
    for (const client of this.#server.clients) client.terminate();
    this.#server.close();
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    const refusal = this.#refusal(request);
    if (refusal) socket.end(`HTTP/1.1 ${refusal}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
    else this.#server.handleUpgrade(request, socket, head, (client) => this.#welcome(client));
  }

  /** The status line of a handshake that is turned away. */
  #refusal(request: IncomingMessage): string | undefined {
    try {
      checkHostAndOrigin(request);
    } catch (error) {
      return `${asHildaError(error).httpStatus} Forbidden`;
    }
    if (request.url?.split('?')[0] !== '/v1/ws') return '404 Not Found';
    return this.#server.clients.size < this.#options.maxClients ? undefined : '503 Service Unavailable';
  }

  #welcome(client: WebSocket): void {
    const subscriber = new Subscriber(client, this.#options.store);
    this.#subscribers.add(subscriber);
    client.on('close', () => {
      this.#subscribers.delete(subscriber);
      void subscriber.stop();
    });
  }

  #wakeAll(): void {
    for (const subscriber of this.#subscribers) subscriber.wake();
  }

  #dropTheSilent(): void {
    for (const subscriber of this.#subscribers) subscriber.checkAlive();
  }

  async #every(ms: number, act: () => void, signal: AbortSignal): Promise<void> {
    try {
      for (;;) {
        await this.#options.clock.sleep(ms, { signal });
        act();
      }
    } catch {
      // The signal aborted: the channel is stopping.
    }
  }
}
