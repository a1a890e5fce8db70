import { hostname } from 'node:os';
import type { Clock } from '../core/clock.js';
import { asHildaError, HildaError, toErrorDocument } from '../core/errors.js';
import type { DeviceId, JobId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import { onAbort } from '../core/on-abort.js';
import type { DevicePool } from '../fleet/device-pool.js';
import type { JobRecord, Store } from '../store/contract.js';
import type { JobFilter } from '../store/job-contract.js';
import { LateWrites } from '../store/late-writes.js';
import { Appointments } from './appointments.js';
import { nowhere, type Places } from './bound-network.js';
import { EndedJobs } from './ended-jobs.js';
import { canOutlive, Entry } from './entry.js';
import { type Given, type JobRequest, type Outcome, parseJob } from './job.js';
import { KnownDevices } from './known-devices.js';
import { endedBy, rowOf } from './new-job.js';
import { Runner } from './runner.js';
import type { Selector } from './selector.js';
import { takeUpJobs } from './take-up-jobs.js';
import { whyWaiting } from './why-waiting.js';
import { Withdrawals } from './withdrawals.js';

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
  /** How often a store that takes nothing, e.g. on a full disk, is asked again; 5 s by default. */
  readonly storeAgainMs?: number;
  /** How long a result waits for others to be stored with, while results come often; 3 ms by default. */
  readonly gatherMs?: number;
  /** How many jobs may wait; 10,000 by default. */
  readonly limit?: number;
  readonly warn?: (error: HildaError, message: string) => void;
}

export interface Submitted {
  readonly record: JobRecord;
  /** Rejects with why it failed, or with the reason of its abort. */
  readonly done: Promise<Outcome>;
}

/** All device work: submitted as data, stored, queued, run, shown, cancelled, and taken up again after the daemon ended. */
export class Jobs {
  readonly #options: JobsOptions;
  readonly #owner: string;
  readonly #runner: Runner;
  /** Jobs that wait or run here. */
  readonly #entries = new Map<JobId, Entry>();
  readonly #life = new AbortController();
  readonly #devices: KnownDevices;
  readonly #appointments: Appointments;
  readonly #late: LateWrites;
  readonly #ended: EndedJobs;
  readonly #withdrawals: Withdrawals;
  #coming = 0;

  constructor(options: JobsOptions) {
    this.#options = options;
    const {
      store,
      pool,
      clock,
      ttlMs = 30_000,
      retryMs = 500,
      storeAgainMs = 5000,
      gatherMs = 3,
      warn = () => {},
    } = options;
    this.#owner = `${options.owner ?? hostname()}/`;
    this.#late = new LateWrites({ clock, warn, againMs: storeAgainMs });
    this.#ended = new EndedJobs(store);
    this.#appointments = new Appointments({ clock, signal: this.#life.signal });
    this.#runner = new Runner({
      store,
      pool,
      clock,
      places: options.places ?? nowhere,
      late: this.#late,
      owner: this.#owner,
      ttlMs,
      retryMs,
      storeAgainMs,
      gatherMs,
      warn,
      onEnded: (entry) => void this.#entries.delete(entry.record.id),
    });
    this.#devices = new KnownDevices({ store, pool, dispatcher: this.#runner.dispatcher });
    this.#withdrawals = new Withdrawals({
      store,
      dispatcher: this.#runner.dispatcher,
      appointments: this.#appointments,
      late: this.#late,
      onEnded: (entry) => void this.#entries.delete(entry.record.id),
    });
  }

  /** Frees the leases that a former daemon of this host left behind, and takes up its jobs. */
  async start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { store } = this.#options;
    const goOn = await takeUpJobs(store, this.#owner);
    await this.#devices.start();
    for (const record of goOn) await this.#goOn(record);
    this.#runner.start();
  }

  /** What runs ends: it is queued for the next daemon, or cancelled where it cannot outlive this one. */
  async stop(): Promise<void> {
    const reason = new HildaError('INTERRUPTED', 'the daemon is stopping');
    this.#life.abort(reason);
    this.#devices.stop();
    await this.#runner.stop();
    await this.#late.stop();
    const left = [...this.#entries.values()];
    this.#entries.clear();
    const mortal = left.filter((entry) => !entry.outlives).map(({ record }) => record.id);
    for (const entry of left) entry.reject(reason);
    // What cannot be stored now, the next daemon does when it starts.
    if (mortal.length > 0)
      await this.#options.store
        .closeJobs(mortal, 'cancelled', endedBy.leaving)
        .catch((thrown: unknown) => this.#options.warn?.(asHildaError(thrown), 'jobs stay as they are'));
  }

  /**
   * Stores a job and puts it in line; it is durable once this resolves. Aborting the signal cancels it. Throws
   * DEVICE_UNKNOWN for a selector without devices, QUEUE_FULL, IDEMPOTENCY_CONFLICT, and INTERRUPTED where the daemon stops.
   */
  async submit(request: JobRequest, { signal }: { readonly signal?: AbortSignal } = {}): Promise<Submitted> {
    this.#life.signal.throwIfAborted();
    signal?.throwIfAborted();
    const { limit = 10_000 } = this.#options;
    const named = await this.#devices.named(request.devices);
    if (this.#waiting >= limit)
      throw new HildaError('QUEUE_FULL', `${limit} jobs wait already`, { details: { limit } });
    this.#coming++;
    let record: JobRecord;
    try {
      record = await this.#runner.store(rowOf(request));
    } finally {
      this.#coming--;
    }
    this.#ended.forgetOldest();
    const known = this.#entries.get(record.id);
    if (!known && record.state !== 'queued') {
      const done = this.#ended.outcomeOf(record);
      // Nobody need wait for it.
      done.catch(() => {});
      return { record, done };
    }
    const entry = known ?? this.#enter(record, named, request.given ?? {});
    if (signal && request.attached !== false) {
      const leave = (): void =>
        void this.#withdrawals.cancel(entry, asHildaError(signal.reason)).catch(() => {});
      if (signal.aborted) leave();
      else {
        const stopListening = onAbort(signal, leave);
        entry.done.catch(() => {}).finally(stopListening);
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
    await this.#withdrawals.cancel(entry, new HildaError('INTERRUPTED', `the job ${id} was cancelled`));
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
    if (this.#waiting >= limit)
      throw new HildaError('QUEUE_FULL', `${limit} jobs wait already`, { details: { limit } });
    const named = await this.#devices.named(parseJob(before).devices);
    const record = await store.reviveJob(id);
    this.#enter(record, named, {});
    return record;
  }

  /** See `KnownDevices.meant`. */
  devicesOf(selector: Selector, also: { readonly quarantined?: boolean } = {}): Promise<DeviceId[]> {
    return this.#devices.meant(selector, also);
  }

  /** Takes up a job of a former daemon. One that this version cannot read fails. */
  async #goOn(record: JobRecord): Promise<void> {
    try {
      this.#enter(record, await this.#devices.named(parseJob(record).devices, { mayWait: true }), {});
    } catch (thrown) {
      const document = toErrorDocument(asHildaError(thrown)) as unknown as Json;
      await this.#options.store.closeJobs([record.id], 'failed', document);
    }
  }

  #enter(record: JobRecord, named: readonly DeviceId[] | null, given: Given): Entry {
    const entry = new Entry(record, parseJob(record), { given, named });
    this.#entries.set(record.id, entry);
    const { runAtMs, deadlineMs } = record;
    const { dispatcher } = this.#runner;
    const line = this.#appointments;
    if (deadlineMs !== null)
      void line.missAt(entry, deadlineMs, () => void this.#withdrawals.miss(entry, deadlineMs));
    if (runAtMs !== null && runAtMs > this.#options.clock.nowMs())
      void line.beginAt(entry, runAtMs, () => dispatcher.add(entry));
    else dispatcher.add(entry);
    return entry;
  }

  /** How many wait, those included that are about to be stored. */
  get #waiting(): number {
    return this.#runner.dispatcher.schedule.size + this.#appointments.size + this.#coming;
  }
}
