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

/** A client says what it wants when that changes. More than this between two pings is a flood. */
const mostMessages = 500;

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
  /** The latest subscription that was asked for; those before it need no answer any more. */
  #asked: ClientMessage | undefined;
  #subscribing = false;
  /** Messages since the last look at whether it lives. */
  #heard = 0;
  #stopped = false;

  /** `socket`: what the client's frames are written to. */
  constructor(client: WebSocket, socket: Duplex, store: Store, feed: EventFeed) {
    this.#client = client;
    this.#socket = socket;
    this.#store = store;
    this.#feed = feed;
    client.on('message', (data, isBinary) => this.#hear(data, isBinary));
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
    this.#heard = 0;
    this.#client.ping();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#pumping;
  }

  #hear(data: RawData, isBinary: boolean): void {
    this.#alive = true;
    if (++this.#heard > mostMessages) {
      this.#client.close(1008, 'too many messages');
      this.#client.terminate();
      return;
    }
    try {
      const message = parseMessage(data, isBinary);
      checkTopics(message.topics);
      this.#asked = message;
      if (!this.#subscribing) void this.#subscribe();
    } catch (thrown) {
      void this.#refuse(thrown);
    }
  }

  /** One read of the store for all that were asked for meanwhile: the latest counts. */
  async #subscribe(): Promise<void> {
    this.#subscribing = true;
    try {
      while (this.#asked && !this.#stopped) {
        const lastSeq = await this.#store.lastSeq();
        const { topics, since } = this.#asked;
        this.#asked = undefined;
        this.#generation++;
        this.#cursor = Math.min(since ?? lastSeq, lastSeq);
        this.#topics = topics;
        await this.#send({ op: 'subscribed', seq: this.#cursor });
        this.wake();
      }
    } catch (thrown) {
      void this.#refuse(thrown);
    } finally {
      this.#subscribing = false;
    }
  }

  async #refuse(thrown: unknown): Promise<void> {
    const { code, message } = asHildaError(thrown);
    await this.#send({ op: 'error', code, detail: message }).catch(() => {});
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
