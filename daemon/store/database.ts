import type { Knex } from 'knex';
import type { Clock } from '../core/clock.js';
import { HildaError } from '../core/errors.js';
import type { Json } from '../core/json.js';
import { statementFault } from '../faults/edges/store.js';
import { switchboard } from '../faults/present.js';
import type { StoredEvent } from './contract.js';
import { Gate } from './gate.js';
import { toJsonText } from './json-columns.js';
import { mapStoreError } from './map-errors.js';
import type { Engine } from './sqlite-engine.js';

export type CounterName =
  | 'events'
  | 'studies'
  | 'measurements'
  | 'predictors'
  | 'specialisations'
  | 'jobs'
  | 'campaigns'
  | 'alerts'
  | 'alert_mutes'
  | 'schedules'
  | 'webhooks'
  | 'deliveries'
  | 'rollouts'
  | 'device_changes';

/** Counters that follow the rows of their tables by triggers: they are read once, and never written here. */
const following: ReadonlySet<CounterName> = new Set<CounterName>(['events', 'jobs', 'measurements']);

/** What the body of a write has in hand; all of it becomes durable together, or none of it. */
export interface Write {
  readonly db: Knex;
  /** Rows of a statement with `?` for values: for what runs often. */
  all<Row>(sql: string, values: readonly unknown[]): Promise<Row[]>;
  readonly nowMs: number;
  /** The next number of a gapless count; of `many`, the first one. */
  next(counter: CounterName, many?: number): Promise<number>;
  publish(topic: string, data: Json): Promise<StoredEvent>;
  /** In this order, with as many statements as for one. */
  publishAll(events: readonly Pick<StoredEvent, 'topic' | 'data'>[]): Promise<StoredEvent[]>;
}

/** One engine's connection with the rules every method of the store obeys: transactions, events, error codes. */
export class Database {
  readonly clock: Clock;
  readonly #engine: Engine;
  readonly #gate = new Gate();
  readonly #listeners = new Set<() => void>();
  /** The last numbers that were given, of counters that follow their rows. */
  readonly #last = new Map<CounterName, number>();
  #closed = false;

  constructor(engine: Engine, clock: Clock) {
    this.#engine = engine;
    this.clock = clock;
  }

  /** One statement outside any transaction. */
  async read<T>(query: (db: Knex) => PromiseLike<T>): Promise<T> {
    this.#assertOpen();
    try {
      return await this.#gate.run(async () => {
        this.#assertOpen();
        if (switchboard()) await statementFault('read');
        return query(this.#engine.db);
      });
    } catch (thrown) {
      throw mapStoreError(thrown, 'reading the store');
    }
  }

  /** `urgent`: before what else waits for the connection. */
  async write<T>(
    body: (write: Write) => Promise<T>,
    { urgent = false }: { readonly urgent?: boolean } = {},
  ): Promise<T> {
    this.#assertOpen();
    try {
      const { result, published } = await this.#gate.run(() => this.#transact(body), { urgent });
      if (published) this.#notify();
      return result;
    } catch (thrown) {
      throw mapStoreError(thrown, 'writing to the store');
    }
  }

  async #transact<T>(
    body: (write: Write) => Promise<T>,
  ): Promise<{ readonly result: T; readonly published: boolean }> {
    this.#assertOpen();
    const { db, all } = this.#engine;
    const nowMs = this.clock.nowMs();
    let published = false;
    const next = async (counter: CounterName, many = 1): Promise<number> => {
      if (!following.has(counter)) return (await increment(all, counter, many)) - many + 1;
      const last = this.#last.get(counter) ?? (await readCounter(all, counter));
      this.#last.set(counter, last + many);
      return last + 1;
    };
    const publishAll = async (
      events: readonly Pick<StoredEvent, 'topic' | 'data'>[],
    ): Promise<StoredEvent[]> => {
      if (events.length === 0) return [];
      published = true;
      const first = await next('events', events.length);
      const stored = events.map(({ topic, data }, i) => ({ seq: first + i, topic, atMs: nowMs, data }));
      const rows = stored.map(({ seq, topic, data }) => ({
        seq,
        topic,
        at_ms: nowMs,
        data: toJsonText(data),
      }));
      await insertAll(all, 'events', rows);
      return stored;
    };
    const publish = async (topic: string, data: Json): Promise<StoredEvent> =>
      (await publishAll([{ topic, data }]))[0] as StoredEvent;
    await all('BEGIN IMMEDIATE');
    try {
      const result = await body({ db, all, nowMs, next, publish, publishAll });
      await all('COMMIT');
      return { result, published };
    } catch (thrown) {
      // What was given is not stored.
      this.#last.clear();
      // After a full disk the engine has rolled back by itself, and refuses to do it again.
      await all('ROLLBACK').catch(() => {});
      throw thrown;
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
    // What runs ends first: a statement under way keeps its connection open.
    await this.#gate.run(() => this.#engine.close());
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

/** An engine takes so many values in one statement, at least. */
const mostValues = 16_000;

/** Rows in one statement, or few; all have the columns of the first. Answers with what `suffix` returns. */
export async function insertAll<Row>(
  all: Write['all'],
  table: string,
  rows: readonly object[],
  suffix = '',
): Promise<Row[]> {
  const [first] = rows;
  if (!first) return [];
  const columns = Object.keys(first);
  const most = Math.max(1, Math.floor(mostValues / columns.length));
  const one = `(${columns.map(() => '?').join(', ')})`;
  const answered: Row[] = [];
  for (let from = 0; from < rows.length; from += most) {
    const some = rows.slice(from, from + most) as Readonly<Record<string, unknown>>[];
    const values = some.flatMap((row) => columns.map((column) => row[column] ?? null));
    const sql = `INSERT INTO ${table} (${columns.join(', ')}) VALUES ${some.map(() => one).join(', ')} ${suffix}`;
    answered.push(...(await all<Row>(sql, values)));
  }
  return answered;
}

const increment = async (all: Write['all'], name: CounterName, by: number): Promise<number> =>
  onlyValue(
    name,
    await all('UPDATE counters SET value = value + ? WHERE name = ? RETURNING value', [by, name]),
  );

const readCounter = async (all: Write['all'], name: CounterName): Promise<number> =>
  onlyValue(name, await all('SELECT value FROM counters WHERE name = ?', [name]));

function onlyValue(name: CounterName, [row]: readonly { readonly value: number }[]): number {
  if (row) return row.value;
  throw new HildaError('STORE_CORRUPT', `the counter ${name} is missing`);
}
