import type { Duplex } from 'node:stream';
import type { RawData, WebSocket } from 'ws';
import { asHildaError, HildaError } from '../core/errors.js';
import type { Store } from '../store/contract.js';
import { type ClientMessage, clientMessageSchema, type ServerMessage } from './channel-messages.js';
import type { EventFeed, Portion } from './event-feed.js';
import { textFrame } from './text-frame.js';
import { checkTopics } from './topics.js';
import { viewEvent } from './views.js';

/** Throws REQUEST_INVALID, in one sentence. */
function parseMessage(data: RawData, isBinary: boolean): ClientMessage {
  let value: unknown;
  try {
    value = isBinary ? undefined : JSON.parse(String(data));
  } catch {
    throw new HildaError('REQUEST_INVALID', 'the message is not JSON');
  }
  const parsed = clientMessageSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const place = ['message', ...(issue?.path ?? [])].join('.');
  throw new HildaError('REQUEST_INVALID', `${place}: ${issue?.message ?? 'not valid'}`.slice(0, 200));
}

/** Events that a client far behind is given at a time. */
const batchSize = 200;

/**
 * One client of the channel: a cursor into the store's events. Nothing is queued for it beyond one portion, so a slow
 * client costs no memory; it falls behind and catches up, and one that takes nothing between two pings is dropped.
 */
export class Subscriber {
  readonly #client: WebSocket;
  readonly #socket: Duplex;
  readonly #store: Store;
  readonly #feed: EventFeed;
  #topics: readonly string[] | undefined;
  #cursor = 0;
  #generation = 0;
  #woken = false;
  #alive = true;
  #pumping: Promise<void> | undefined;
  #stopped = false;

  /** `socket`: what the client's frames are written to. */
  constructor(client: WebSocket, socket: Duplex, store: Store, feed: EventFeed) {
    this.#client = client;
    this.#socket = socket;
    this.#store = store;
    this.#feed = feed;
    client.on('message', (data, isBinary) => void this.#hear(data, isBinary));
    client.on('pong', () => {
      this.#alive = true;
    });
    client.on('error', () => client.terminate());
  }

  /** There may be news. */
  wake(): void {
    this.#woken = true;
    if (this.#topics && !this.#stopped)
      this.#pumping ??= this.#pump().finally(() => {
        this.#pumping = undefined;
      });
  }

  checkAlive(): void {
    if (!this.#alive) {
      this.#client.terminate();
      return;
    }
    this.#alive = false;
    this.#client.ping();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#pumping;
  }

  async #hear(data: RawData, isBinary: boolean): Promise<void> {
    this.#alive = true;
    try {
      const { topics, since } = parseMessage(data, isBinary);
      checkTopics(topics);
      const generation = ++this.#generation;
      const lastSeq = await this.#store.lastSeq();
      // Two messages in a row: the later one counts, whichever read ended first.
      if (generation !== this.#generation) return;
      this.#cursor = Math.min(since ?? lastSeq, lastSeq);
      this.#topics = topics;
      await this.#send({ op: 'subscribed', seq: this.#cursor });
      this.wake();
    } catch (thrown) {
      const { code, message } = asHildaError(thrown);
      await this.#send({ op: 'error', code, detail: message }).catch(() => {});
    }
  }

  async #pump(): Promise<void> {
    try {
      while (this.#woken && !this.#stopped && this.#topics) {
        this.#woken = false;
        const generation = this.#generation;
        await this.#feed.refresh();
        const portion = this.#feed.after(this.#cursor, this.#topics) ?? (await this.#older(this.#topics));
        if (generation !== this.#generation) {
          this.#woken = true;
          continue;
        }
        this.#woken ||= portion.cursor < this.#feed.last;
        this.#cursor = portion.cursor;
        await this.#write(portion.frames);
      }
    } catch {
      // The socket closed under us, or the store did: either way the client comes back with its last number.
      this.#client.terminate();
    }
  }

  /** Out of the store: what came before all that the feed keeps. */
  async #older(topics: readonly string[]): Promise<Portion> {
    // Read before the events: what is committed between the two reads must not be skipped.
    const lastSeq = await this.#store.lastSeq();
    const events = await this.#store.events(this.#cursor, { topics, limit: batchSize });
    const full = events.length === batchSize;
    return {
      frames: Buffer.concat(events.map((event) => textFrame(JSON.stringify(viewEvent(event))))),
      cursor: Math.max(this.#cursor, events.at(-1)?.seq ?? 0, full ? 0 : lastSeq),
    };
  }

  /** Whole frames, between those that the client's own sender writes. Resolves when the socket took them. */
  #write(frames: Buffer): Promise<void> {
    if (frames.length === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      if (this.#client.readyState !== this.#client.OPEN) reject(new Error('the client has left'));
      else this.#socket.write(frames, (error) => (error ? reject(error) : resolve()));
    });
  }

  /** Resolves when the socket took the message. */
  #send(message: ServerMessage): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#client.send(JSON.stringify(message), (error) => (error ? reject(error) : resolve()));
    });
  }
}
