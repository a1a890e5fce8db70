import type { Knex } from 'knex';
import type { Clock } from '../core/clock.js';
import { HildaError } from '../core/errors.js';
import type { Json } from '../core/json.js';
import type { StoredEvent } from './contract.js';
import { toJsonText } from './json-columns.js';
import { mapStoreError } from './map-errors.js';
import type { Engine } from './sqlite-engine.js';

export type CounterName = 'events' | 'studies' | 'measurements' | 'predictors' | 'specialisations' | 'jobs';

/** What the body of a write has in hand; all of it becomes durable together, or none of it. */
export interface Write {
  readonly db: Knex.Transaction;
  readonly nowMs: number;
  /** The next number of a gapless count; of `many`, the first one. */
  next(counter: CounterName, many?: number): Promise<number>;
  publish(topic: string, data: Json): Promise<StoredEvent>;
  /** In this order, with as many statements as for one. */
  publishAll(events: readonly Pick<StoredEvent, 'topic' | 'data'>[]): Promise<void>;
}

/** One engine's connection with the rules every method of the store obeys: transactions, events, error codes. */
export class Database {
  readonly clock: Clock;
  readonly #engine: Engine;
  readonly #listeners = new Set<() => void>();
  #closed = false;

  constructor(engine: Engine, clock: Clock) {
    this.#engine = engine;
    this.clock = clock;
  }

  /** One statement outside any transaction. */
  async read<T>(query: (db: Knex) => PromiseLike<T>): Promise<T> {
    this.#assertOpen();
    try {
      return await query(this.#engine.db);
    } catch (thrown) {
      throw mapStoreError(thrown, 'reading the store');
    }
  }

  async write<T>(body: (write: Write) => Promise<T>): Promise<T> {
    this.#assertOpen();
    let published = false;
    // After a full disk the engine has rolled back by itself, and knex would report its own ROLLBACK's failure instead.
    let first: { readonly thrown: unknown } | undefined;
    try {
      const result = await this.#engine.db.transaction(async (db) => {
        const nowMs = this.clock.nowMs();
        const next = async (counter: CounterName, many = 1): Promise<number> =>
          (await increment(db, counter, many)) - many + 1;
        const publish = async (topic: string, data: Json): Promise<StoredEvent> => {
          published = true;
          const seq = await next('events');
          await db('events').insert({ seq, topic, at_ms: nowMs, data: toJsonText(data) });
          return { seq, topic, atMs: nowMs, data };
        };
        const publishAll: Write['publishAll'] = async (events) => {
          if (events.length === 0) return;
          published = true;
          const first = await next('events', events.length);
          const rows = events.map(({ topic, data }, i) => ({
            seq: first + i,
            topic,
            at_ms: nowMs,
            data: toJsonText(data),
          }));
          await insertAll(db, 'events', rows);
        };
        try {
          return await body({ db, nowMs, next, publish, publishAll });
        } catch (thrown) {
          first = { thrown };
          throw thrown;
        }
      });
      if (published) this.#notify();
      return result;
    } catch (thrown) {
      throw mapStoreError(first ? first.thrown : thrown, 'writing to the store');
    }
  }

  onEvents(listener: () => void): () => void {
    // A wrapper a call, so that one listener added twice is heard twice and stopped apart.
    const entry = (): void => listener();
    this.#listeners.add(entry);
    return () => void this.#listeners.delete(entry);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#listeners.clear();
    await this.#engine.close();
  }

  #notify(): void {
    for (const listener of [...this.#listeners]) {
      // The write is committed: a listener's fault must not look like the write's.
      try {
        listener();
      } catch {}
    }
  }

  #assertOpen(): void {
    if (this.#closed) throw new HildaError('INTERRUPTED', 'the store is closed');
  }
}

/** Rows in one statement, or few: an engine takes so many at once, at least. */
export async function insertAll(db: Knex, table: string, rows: readonly object[]): Promise<void> {
  const most = 250;
  for (let from = 0; from < rows.length; from += most) await db(table).insert(rows.slice(from, from + most));
}

async function increment(db: Knex.Transaction, name: CounterName, by: number): Promise<number> {
  const rows = await db('counters')
    .where({ name })
    .increment('value', by)
    .returning<{ value: number }[]>('value');
  const value = rows[0]?.value;
  if (value === undefined) throw new HildaError('STORE_CORRUPT', `the counter ${name} is missing`);
  return value;
}
