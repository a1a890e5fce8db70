import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import type { Clock } from '../core/clock.js';
import { asHildaError } from '../core/errors.js';
import type { Store } from '../store/contract.js';
import { EventFeed } from './event-feed.js';
import { Subscriber } from './subscriber.js';
import { channelServer, refuseFull } from './upgrades.js';

/** Throws TOKEN_REFUSED or SCOPE_MISSING where a client may read no longer. */
type Recheck = () => Promise<void>;

export interface EventChannelOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** Silence after which a client is asked for a sign of life, and by the next time dropped. Its token is looked at as often. */
  readonly pingMs?: number;
  /** The store's hint is in-process; another process's events are found by looking this often. */
  readonly pollMs?: number;
  readonly maxClients?: number;
}

const ending = new Set(['TOKEN_REFUSED', 'SCOPE_MISSING']);

/** Nobody sees the difference, and a hundred clients are served once instead of at each write. */
const restMs = 25;

/** Pushes the store's events to ws clients at /v1/ws, on the port of the HTTP server. */
export class EventChannel {
  readonly #options: Required<EventChannelOptions>;
  readonly #server = channelServer({ maxPayload: 64 * 1024 });
  readonly #subscribers = new Map<Subscriber, { readonly client: WebSocket; readonly recheck: Recheck }>();
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
    await Promise.all([...this.#subscribers.keys()].map((subscriber) => subscriber.stop()));
    // A client that does not answer the closing handshake must not hold the daemon up.
    for (const client of this.#server.clients) client.terminate();
    this.#server.close();
  }

  /** `recheck` is called while the client is connected. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, recheck: Recheck): void {
    const { maxClients } = this.#options;
    const full = this.#server.clients.size >= maxClients;
    if (full) refuseFull(socket, maxClients);
    else
      this.#server.handleUpgrade(request, socket, head, (client) => this.#welcome(client, socket, recheck));
  }

  #welcome(client: WebSocket, socket: Duplex, recheck: Recheck): void {
    const subscriber = new Subscriber(client, socket, this.#options.store, this.#feed);
    this.#subscribers.set(subscriber, { client, recheck });
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
    for (const subscriber of this.#subscribers.keys()) subscriber.wake();
  }

  #dropTheSilent(): void {
    for (const [subscriber, { client, recheck }] of this.#subscribers) {
      subscriber.checkAlive();
      // A store that is busy ends no connection.
      recheck().catch((thrown: unknown) => {
        if (ending.has(asHildaError(thrown).code)) client.close(1008, 'the token is revoked or too old');
      });
    }
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
