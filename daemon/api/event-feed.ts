import type { Store } from '../store/contract.js';
import { textFrame } from './text-frame.js';
import { viewEvent } from './views.js';

/** An event as it travels, made once for all clients. */
interface FeedEvent {
  readonly seq: number;
  readonly topic: string;
  readonly frame: Buffer;
}

/** What a client has not heard yet. */
export interface Portion {
  /** Frames of its topics; empty where there are none. */
  readonly frames: Buffer;
  /** What it has heard with them. */
  readonly cursor: number;
}

const readAtOnce = 500;
/** What is kept for clients that lag behind; those farther behind read the store themselves. */
const keptBytes = 4 << 20;
/** Clients hear at most so much at a time, so that a slow one has little on the way. */
const portionBytes = 256 << 10;

/** Clients of other topics or cursors come and go while nothing happens. */
const mostPortions = 500;

/** The newest events of the store, read once for all clients of the channel. */
export class EventFeed {
  readonly #store: Pick<Store, 'events' | 'lastSeq'>;
  /** Without gaps, up to `#last`. */
  #events: FeedEvent[] = [];
  #bytes = 0;
  #last: number | undefined;
  #reading: Promise<void> | undefined;
  /** By topics and cursor: clients that hear the same share it. */
  #portions = new Map<string, Portion>();

  constructor(store: Pick<Store, 'events' | 'lastSeq'>) {
    this.#store = store;
  }

  /** Reads what is new; calls at the same time share one read. */
  refresh(): Promise<void> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  /** Up to where it has read. */
  get last(): number {
    return this.#last ?? 0;
  }

  /** What comes after `cursor`. Undefined where it is no longer kept. */
  after(cursor: number, topics: readonly string[]): Portion | undefined {
    if (this.#last === undefined || cursor < this.#last - this.#events.length) return undefined;
    const key = `${cursor} ${topics.join(' ')}`;
    const known = this.#portions.get(key);
    if (known) return known;
    const portion = this.#cut(cursor, topics);
    if (this.#portions.size >= mostPortions) this.#portions.clear();
    this.#portions.set(key, portion);
    return portion;
  }

  #cut(cursor: number, topics: readonly string[]): Portion {
    const last = this.#last as number;
    const frames: Buffer[] = [];
    let bytes = 0;
    let heard = Math.max(cursor, last);
    for (const { seq, topic, frame } of this.#events.slice(
      Math.max(0, cursor - last + this.#events.length),
    )) {
      if (!topics.some((one) => covers(one, topic))) continue;
      if (bytes > portionBytes) {
        heard = seq - 1;
        break;
      }
      frames.push(frame);
      bytes += frame.length;
    }
    return { frames: Buffer.concat(frames), cursor: heard };
  }

  async #read(): Promise<void> {
    this.#last ??= await this.#store.lastSeq();
    for (;;) {
      const events = await this.#store.events(this.#last, { limit: readAtOnce });
      if (events.length === 0) return;
      this.#portions.clear();
      for (const event of events) {
        const { seq, topic } = event;
        const frame = textFrame(JSON.stringify(viewEvent(event)));
        this.#events.push({ seq, topic, frame });
        this.#bytes += frame.length;
        this.#last = seq;
      }
      let dropped = 0;
      while (this.#bytes > keptBytes) this.#bytes -= (this.#events[dropped++] as FeedEvent).frame.length;
      if (dropped > 0) this.#events = this.#events.slice(dropped);
      if (events.length < readAtOnce) return;
    }
  }
}

/** As the store's `events` takes topics: exact names, or prefixes ending in `.*`. */
const covers = (wanted: string, topic: string): boolean =>
  wanted.endsWith('.*') ? topic.startsWith(wanted.slice(0, -1)) : topic === wanted;
