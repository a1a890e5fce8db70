import { hostname } from 'node:os';
import type { Clock } from '../core/clock.js';
import {
  asHildaError,
  type ErrorDocument,
  fromErrorDocument,
  HildaError,
  toErrorDocument,
} from '../core/errors.js';
import { sha256Hex } from '../core/hash.js';
import type { DeviceId, JobId, MeasurementId } from '../core/ids.js';
import { canonicalJson, type Json } from '../core/json.js';
import type { DevicePool } from '../fleet/device-pool.js';
import { pooledWith } from '../fleet/equivalence.js';
import type { JobRecord, Store } from '../store/contract.js';
import type { JobFilter, NewJob } from '../store/job-contract.js';
import { Batches } from './batches.js';
import type { Places } from './bound-network.js';
import { canOutlive, Entry } from './entry.js';
import { type Given, type JobRequest, type Outcome, parseJob, shareOf } from './job.js';
import { Runner } from './runner.js';
import { formatSelector, isMeant, type Selector } from './selector.js';
import { whyWaiting } from './why-waiting.js';

export interface JobsOptions {
  readonly store: Store;
  readonly pool: Pick<DevicePool, 'use' | 'presence' | 'onChange'>;
  readonly clock: Clock;
  /** Where models and inputs are; left out where jobs bring them in memory. */
  readonly places?: Places;
  /** Names this daemon's leases, so that its successor frees what it left behind. Default: the host's name. */
  readonly owner?: string;
  /** How long a lease outlives its last renewal; 30 s by default. */
  readonly ttlMs?: number;
  /** How often a device that somebody else holds is asked for again; 0.5 s by default. */
  readonly retryMs?: number;
  /** How many jobs may wait; 10,000 by default. */
  readonly limit?: number;
  readonly warn?: (error: HildaError, message: string) => void;
}

export interface Submitted {
  readonly record: JobRecord;
  /** Rejects with why it failed, or with the reason of its abort. */
  readonly done: Promise<Outcome>;
}

/** Ended jobs that are remembered, and how many more there may be before the oldest are forgotten. */
const remembered = { most: 10_000, slack: 500 };
/** A job during which the daemon ended so often is to blame for it. */
const mostLost = 3;

/** All device work: submitted as data, stored, queued, run, shown, cancelled, and taken up again after the daemon ended. */
export class Jobs {
  readonly #options: JobsOptions;
  readonly #owner: string;
  readonly #runner: Runner;
  /** Jobs that wait or run here. */
  readonly #entries = new Map<JobId, Entry>();
  /** Jobs that are not to begin yet. */
  readonly #later = new Set<Entry>();
  readonly #life = new AbortController();
  readonly #submits: Batches<NewJob, JobRecord | HildaError>;
  readonly #cancels: Batches<JobId, JobRecord | undefined>;
  #known: Promise<void> = Promise.resolve();
  #coming = 0;
  #sinceForgotten = 0;

  constructor(options: JobsOptions) {
    this.#options = options;
    const { store, pool, clock, ttlMs = 30_000, retryMs = 500, warn = () => {} } = options;
    this.#owner = `${options.owner ?? hostname()}/`;
    this.#runner = new Runner({
      store,
      pool,
      clock,
      places: options.places ?? nowhere,
      owner: this.#owner,
      ttlMs,
      retryMs,
      warn,
      onEnded: (entry) => void this.#entries.delete(entry.record.id),
    });
    this.#submits = new Batches((jobs) => store.submitJobs(jobs), 100);
    this.#cancels = new Batches(async (ids) => {
      const closed = await store.closeJobs(ids, 'cancelled', cancelled);
      return ids.map((id) => closed.find((job) => job.id === id));
    }, 500);
  }

  /** Frees the leases that a former daemon of this host left behind, and takes up its jobs. */
  async start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { store, pool } = this.#options;
    await store.expireLeases(this.#owner);
    await store.requeueLostJobs();
    await this.#learnDevices();
    const stop = pool.onChange(() => void this.#learnDevices().catch(() => {}));
    this.#life.signal.addEventListener('abort', stop);
    const left: JobId[] = [];
    const lost: JobId[] = [];
    for (const record of await store.queuedJobs()) {
      if (!canOutlive(record)) left.push(record.id);
      else if (record.attempt >= record.maxAttempts + mostLost) lost.push(record.id);
      else this.#enter(record, await this.#namedOf(parseJob(record).devices), {});
    }
    if (left.length > 0) await store.closeJobs(left, 'cancelled', ownerLeft);
    if (lost.length > 0) await store.closeJobs(lost, 'failed', daemonEnded);
    this.#runner.start();
  }

  /** What runs ends: it is queued for the next daemon, or cancelled where it cannot outlive this one. */
  async stop(): Promise<void> {
    const reason = new HildaError('INTERRUPTED', 'the daemon is stopping');
    this.#life.abort(reason);
    await this.#runner.stop();
    const left = [...this.#entries.values()];
    this.#entries.clear();
    const mortal = left.filter((entry) => !entry.outlives).map(({ record }) => record.id);
    if (mortal.length > 0) await this.#options.store.closeJobs(mortal, 'cancelled', ownerLeft);
    for (const entry of left) entry.reject(reason);
  }

  /**
   * Stores a job and puts it in line; it is durable once this resolves. Aborting the signal cancels it. Throws
   * DEVICE_UNKNOWN for a selector without devices, QUEUE_FULL, IDEMPOTENCY_CONFLICT, and INTERRUPTED where the daemon stops.
   */
  async submit(request: JobRequest, { signal }: { readonly signal?: AbortSignal } = {}): Promise<Submitted> {
    this.#life.signal.throwIfAborted();
    signal?.throwIfAborted();
    const { limit = 10_000 } = this.#options;
    const named = await this.#namedOf(request.devices);
    if (this.#runner.schedule.size + this.#later.size + this.#coming >= limit)
      throw new HildaError('QUEUE_FULL', `${limit} jobs wait already`, { details: { limit } });
    this.#coming++;
    let record: JobRecord | HildaError;
    try {
      record = await this.#submits.put(rowOf(request));
    } finally {
      this.#coming--;
    }
    if (record instanceof HildaError) throw record;
    this.#forget();
    const known = this.#entries.get(record.id);
    if (!known && record.state !== 'queued') {
      const done = this.#outcomeOf(record);
      // Nobody need wait for it.
      done.catch(() => {});
      return { record, done };
    }
    const entry = known ?? this.#enter(record, named, request.given ?? {});
    if (signal && request.attached !== false) {
      const leave = (): void => void this.#cancel(entry, asHildaError(signal.reason)).catch(() => {});
      if (signal.aborted) leave();
      else {
        signal.addEventListener('abort', leave, { once: true });
        entry.done.catch(() => {}).finally(() => signal.removeEventListener('abort', leave));
      }
    }
    return { record: entry.record, done: entry.done };
  }

  /** Submits, waits, and answers with what came of it. */
  async run(request: JobRequest, { signal }: { readonly signal: AbortSignal }): Promise<Outcome> {
    return (await this.submit(request, { signal })).done;
  }

  /** Throws NOT_FOUND. */
  show(id: JobId): Promise<JobRecord> {
    return this.#options.store.job(id);
  }

  async list(
    filter: JobFilter & { readonly before?: JobId; readonly limit?: number },
  ): Promise<{ readonly jobs: JobRecord[]; readonly total: number }> {
    const { store } = this.#options;
    const { before: _, limit: __, ...plain } = filter;
    return { jobs: await store.jobs(filter), total: await store.jobCount(plain) };
  }

  /** Why these jobs wait, by id; those that do not wait are left out. */
  async whyWaiting(ids: readonly JobId[]): Promise<ReadonlyMap<JobId, string>> {
    const { pool, store, clock } = this.#options;
    const runner = this.#runner;
    const waiting = ids
      .flatMap((id) => this.#entries.get(id) ?? [])
      .filter((one) => one.record.state === 'queued');
    if (waiting.length === 0) return new Map();
    const circumstances = { runner, pool, leases: await store.leases(), nowMs: clock.nowMs() };
    return new Map(waiting.map((entry) => [entry.record.id, whyWaiting(entry, circumstances)]));
  }

  /** Ends a job that waits or runs. One that has ended stays as it is: STATE_CONFLICT. Throws NOT_FOUND. */
  async cancel(id: JobId): Promise<JobRecord> {
    const { store } = this.#options;
    const entry = this.#entries.get(id);
    if (!entry) {
      const { state } = await store.job(id);
      throw new HildaError('STATE_CONFLICT', `the job ${id} is ${state}`, {
        hint: 'Only jobs that wait or run can be cancelled.',
        details: { jobId: id, state },
      });
    }
    await this.#cancel(entry, new HildaError('INTERRUPTED', `the job ${id} was cancelled`));
    await entry.done.catch(() => {});
    return store.job(id);
  }

  /** Queues a failed or cancelled job anew. Throws NOT_FOUND, STATE_CONFLICT, QUEUE_FULL. */
  async retry(id: JobId): Promise<JobRecord> {
    const { store, limit = 10_000 } = this.#options;
    const before = await store.job(id);
    if (!canOutlive({ ...before, attached: false }))
      throw new HildaError(
        'STATE_CONFLICT',
        `the job ${id} belongs to ${before.share}, which asks again itself`,
        {
          hint: 'Resume the study, or start the campaign again.',
          details: { jobId: id },
        },
      );
    if (this.#runner.schedule.size >= limit)
      throw new HildaError('QUEUE_FULL', `${limit} jobs wait already`, { details: { limit } });
    const named = await this.#namedOf(parseJob(before).devices);
    const record = await store.reviveJob(id);
    this.#enter(record, named, {});
    return record;
  }

  /** The adopted devices that a selector means, those that are there first. Throws DEVICE_UNKNOWN. */
  async devicesOf(selector: Selector): Promise<DeviceId[]> {
    const named = await this.#namedOf(selector);
    const all = this.#runner.stations.all();
    const ids = named ?? all.filter((record) => isMeant(selector, record)).map(({ id }) => id);
    const isAway = (id: DeviceId): number => (this.#options.pool.presence(id).present ? 0 : 1);
    return [...ids].sort((a, b) => isAway(a) - isAway(b));
  }

  async #cancel(entry: Entry, reason: HildaError): Promise<void> {
    if (entry.abort.signal.aborted) return;
    entry.abort.abort(reason);
    // One that is not in line runs, or is about to: its end sees the abort.
    if (!this.#leavesLine(entry)) return;
    this.#entries.delete(entry.record.id);
    try {
      await this.#cancels.put(entry.record.id);
    } finally {
      entry.reject(reason);
    }
  }

  #enter(record: JobRecord, named: readonly DeviceId[] | null, given: Given): Entry {
    const entry = new Entry(record, parseJob(record), { given, named });
    this.#entries.set(record.id, entry);
    const { runAtMs, deadlineMs } = record;
    const nowMs = this.#options.clock.nowMs();
    if (deadlineMs !== null) void this.#expire(entry, deadlineMs);
    if (runAtMs !== null && runAtMs > nowMs) void this.#addLater(entry, runAtMs);
    else this.#runner.add(entry);
    return entry;
  }

  async #addLater(entry: Entry, atMs: number): Promise<void> {
    this.#later.add(entry);
    if ((await this.#slept(entry, atMs)) && this.#later.delete(entry)) this.#runner.add(entry);
  }

  /** Takes a job that neither runs nor is about to out of line; answers whether it was there. */
  #leavesLine(entry: Entry): boolean {
    return this.#later.delete(entry) || this.#runner.schedule.remove(entry);
  }

  /** A job that waits at its deadline fails. */
  async #expire(entry: Entry, atMs: number): Promise<void> {
    if (!(await this.#slept(entry, atMs)) || !this.#leavesLine(entry)) return;
    const { id } = entry.record;
    const error = new HildaError('DEADLINE_MISSED', `the job ${id} had not begun by its deadline`, {
      details: { jobId: id, deadlineMs: atMs },
    });
    this.#entries.delete(id);
    await this.#options.store
      .closeJobs([id], 'failed', toErrorDocument(error) as unknown as Json)
      .catch(() => {});
    entry.reject(error);
  }

  /** Whether the time came while the job was still to be done. */
  async #slept(entry: Entry, untilMs: number): Promise<boolean> {
    const { clock } = this.#options;
    const signal = AbortSignal.any([entry.abort.signal, this.#life.signal]);
    // A timer takes no more than 2^31 ms.
    const most = 2 ** 30;
    try {
      for (let left = untilMs - clock.nowMs(); left > 0; left = untilMs - clock.nowMs())
        await clock.sleep(Math.min(left, most), { signal });
    } catch {
      return false;
    }
    return this.#entries.get(entry.record.id) === entry;
  }

  /** The devices that a selector names; null where target or tags decide. Throws DEVICE_UNKNOWN where there is none. */
  async #namedOf(selector: Selector): Promise<readonly DeviceId[] | null> {
    const { store } = this.#options;
    const { stations } = this.#runner;
    if ('device' in selector || 'pool' in selector) {
      const id = 'device' in selector ? selector.device : selector.pool;
      if (!stations.record(id)) {
        await store.device(id);
        await this.#learnDevices();
      }
      return 'device' in selector ? [id] : pooledWith(id, store);
    }
    // What was changed before this request counts.
    await this.#known;
    if (!stations.all().some((record) => isMeant(selector, record))) await this.#learnDevices();
    if (stations.all().some((record) => isMeant(selector, record))) return null;
    throw new HildaError('DEVICE_UNKNOWN', `no adopted device is ${formatSelector(selector)}`, {
      hint: 'Run `hilda devices list` to see devices, targets and tags.',
    });
  }

  /** One look at a time; a caller that comes meanwhile gets what is true after its call. */
  #learnDevices(): Promise<void> {
    const learn = this.#known.then(async () => {
      if (this.#life.signal.aborted) return;
      this.#runner.stations.know(await this.#options.store.devices());
      this.#runner.wakeAll();
    });
    this.#known = learn.catch(() => {});
    return learn;
  }

  async #outcomeOf(job: JobRecord): Promise<Outcome> {
    if (job.state !== 'done') throw fromErrorDocument(job.error as unknown as ErrorDocument);
    const { measurementId, classifies } = (job.result ?? {}) as {
      measurementId?: MeasurementId;
      classifies?: boolean;
    };
    const measurement = measurementId ? await this.#options.store.measurement(measurementId) : null;
    return { job, measurement, value: job.result, outputs: null, classifies: classifies ?? null };
  }

  #forget(): void {
    if (++this.#sinceForgotten < remembered.slack) return;
    this.#sinceForgotten = 0;
    void this.#options.store.forgetJobs(remembered.most).catch(() => {});
  }
}

function rowOf(request: JobRequest): NewJob {
  const { owner, priority = 0, maxAttempts = 1, attached = false, idempotencyKey = null } = request;
  const asked = {
    work: request.work as unknown as Json,
    network: (request.network ?? null) as Json,
    inputs: (request.inputs ?? null) as Json,
    devices: request.devices as unknown as Json,
  };
  return {
    ...asked,
    priority,
    share: shareOf(owner),
    owner: owner as unknown as Json,
    attached,
    runAtMs: request.runAtMs ?? null,
    deadlineMs: request.deadlineMs ?? null,
    maxAttempts,
    idempotencyKey,
    requestHash: idempotencyKey === null ? null : sha256Hex(canonicalJson(asked)),
  };
}

const nowhere: Places = {
  blobs: missing(),
  uploads: missing(),
  readNetwork: async () => {
    throw new HildaError('NOT_FOUND', 'there is no store of models here');
  },
};

function missing(): Places['blobs'] {
  const none = async (): Promise<never> => {
    throw new HildaError('NOT_FOUND', 'there is no store of blobs here');
  };
  return { put: none, get: none, has: async () => false };
}

const document = (message: string): Json =>
  toErrorDocument(new HildaError('INTERRUPTED', message)) as unknown as Json;
const cancelled = document('the job was cancelled');
const ownerLeft = document('the daemon ended, and the owner of the job asks for it again');
const daemonEnded = document('the daemon ended each time that the job ran');
