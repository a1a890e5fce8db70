import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import type { Clock } from '../core/clock.js';
import type { Store } from '../store/contract.js';
import { Subscriber } from './subscriber.js';
import { channelServer, refuseFull } from './upgrades.js';

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
  readonly #server = channelServer({ maxPayload: 64 * 1024 });
  readonly #subscribers = new Set<Subscriber>();
  #unlisten: (() => void) | undefined;

  constructor(options: EventChannelOptions) {
    this.#options = { pingMs: 15_000, pollMs: 2_000, maxClients: 100, ...options };
  }

  start(signal: AbortSignal): void {
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

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { maxClients } = this.#options;
    const full = this.#server.clients.size >= maxClients;
    if (full) refuseFull(socket, maxClients);
    else this.#server.handleUpgrade(request, socket, head, (client) => this.#welcome(client));
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
