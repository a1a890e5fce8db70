import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import type { Clock } from '../core/clock.js';
import type { Store } from '../store/contract.js';
import { EventFeed } from './event-feed.js';
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

/** Nobody sees the difference, and a hundred clients are served once instead of at each write. */
const restMs = 25;

/** Pushes the store's events to ws clients at /v1/ws, on the port of the HTTP server. */
export class EventChannel {
  readonly #options: Required<EventChannelOptions>;
  readonly #server = channelServer({ maxPayload: 64 * 1024 });
  readonly #subscribers = new Set<Subscriber>();
  #unlisten: (() => void) | undefined;

  readonly #feed: EventFeed;
  /** Since the clients were woken last. */
  #hasNews = false;
  #resting = false;

  constructor(options: EventChannelOptions) {
    this.#feed = new EventFeed(options.store);
    this.#options = { pingMs: 15_000, pollMs: 2_000, maxClients: 100, ...options };
  }

  start(signal: AbortSignal): void {
    this.#unlisten = this.#options.store.onEvents(() => this.#hear(signal));
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
    else this.#server.handleUpgrade(request, socket, head, (client) => this.#welcome(client, socket));
  }

  #welcome(client: WebSocket, socket: Duplex): void {
    const subscriber = new Subscriber(client, socket, this.#options.store, this.#feed);
    this.#subscribers.add(subscriber);
    client.on('close', () => {
      this.#subscribers.delete(subscriber);
      void subscriber.stop();
    });
  }

  /** The first news at once, then at most one portion in `restMs`: what comes meanwhile travels together. */
  #hear(signal: AbortSignal): void {
    this.#hasNews = true;
    if (this.#resting) return;
    this.#hasNews = false;
    this.#resting = true;
    this.#wakeAll();
    this.#options.clock.sleep(restMs, { signal }).then(
      () => {
        this.#resting = false;
        if (this.#hasNews) this.#hear(signal);
      },
      () => {},
    );
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
