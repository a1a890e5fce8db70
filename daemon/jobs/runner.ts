import type { Clock } from '../core/clock.js';
import { asHildaError, HildaError, toErrorDocument } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import type { DevicePool } from '../fleet/device-pool.js';
import type { DeviceRecord, Lease, Store } from '../store/contract.js';
import type { Claimed, Ended, JobEnd } from '../store/job-contract.js';
import { attempt, handedOver, type Yield } from './attempt.js';
import { Batches } from './batches.js';
import type { Places } from './bound-network.js';
import type { Entry } from './entry.js';
import { isSettled, trialOf } from './job.js';
import { networkOfJob } from './materials.js';
import { afterFailure, afterMeasurement, type Next } from './retry.js';
import { Schedule } from './schedule.js';
import { isMeant } from './selector.js';
import { Stations } from './stations.js';

export interface RunnerOptions {
  readonly store: Store;
  readonly pool: Pick<DevicePool, 'use' | 'presence'>;
  readonly clock: Clock;
  readonly places: Places;
  /** Names this daemon's leases. Ends with a slash. */
  readonly owner: string;
  /** How long a lease outlives its last renewal. */
  readonly ttlMs: number;
  /** How often a device that somebody else holds is asked for again. */
  readonly retryMs: number;
  readonly warn: (error: HildaError, message: string) => void;
  /** The job has ended for good, or an abort ended it. */
  readonly onEnded: (entry: Entry) => void;
}

/** So many jobs share a transaction: a larger one would keep the others waiting. */
const most = { claims: 32, ends: 32 };

/** Between two tries to store what became of a job, where the store takes nothing. */
const storeAgainMs = 5000;

/** Gives devices to jobs, does the work, and stores what came of it: the one place that does each of these. */
export class Runner {
  readonly schedule: Schedule;
  readonly stations = new Stations();
  /** Running jobs, by device. */
  readonly running = new Map<DeviceId, Entry>();
  readonly #options: RunnerOptions;
  readonly #life = new AbortController();
  readonly #claims: Batches<{ entry: Entry; device: DeviceRecord }, Claimed>;
  readonly #ends: Batches<JobEnd, Ended | HildaError>;
  readonly #active = new Set<Promise<void>>();
  readonly #awake = new Set<string>();
  #kicked = false;

  constructor(options: RunnerOptions) {
    this.#options = options;
    const { store, owner, ttlMs, pool } = options;
    this.schedule = new Schedule({ isPresent: (id) => pool.presence(id).present });
    this.#claims = new Batches(
      (items) =>
        store.claimJobs(
          items.map(({ entry: { record }, device }) => ({
            job: record.id,
            deviceId: device.id,
            holder: owner + record.share,
          })),
          ttlMs,
        ),
      most.claims,
    );
    this.#ends = new Batches((ends) => store.endJobs(ends), most.ends);
  }

  /** Keeps the leases of running jobs alive until it stops. */
  start(): void {
    void this.#renew();
  }

  /** Ends what runs: it is queued again, or cancelled where it cannot outlive the daemon. */
  async stop(): Promise<void> {
    this.#life.abort(new HildaError('INTERRUPTED', 'the daemon is stopping'));
    while (this.#active.size > 0) await Promise.all(this.#active);
  }

  /** Puts a job in line. */
  add(entry: Entry): void {
    this.schedule.add(entry);
    if (entry.named?.length === 1) this.wake(entry.named[0] as DeviceId);
    else if (entry.named) for (const id of entry.named) this.wake(id);
    else this.wakeAll();
  }

  /** The device may be free, or come back. */
  wake(id: DeviceId): void {
    const key = this.stations.keyOf(id);
    if (key !== undefined) this.#wakeStation(key);
  }

  wakeAll(): void {
    for (const key of this.stations.keys()) this.#wakeStation(key);
  }

  #wakeStation(key: string): void {
    this.#awake.add(key);
    if (this.#kicked || this.#life.signal.aborted) return;
    this.#kicked = true;
    queueMicrotask(() => {
      this.#kicked = false;
      const keys = [...this.#awake];
      this.#awake.clear();
      for (const one of keys) this.#dispatch(one);
    });
  }

  #dispatch(key: string): void {
    if (this.#life.signal.aborted || this.stations.isBusy(key)) return;
    const { pool } = this.#options;
    const offers = this.stations
      .devices(key)
      .map((record) => ({ record, present: pool.presence(record.id).present }));
    const best = this.schedule.best(offers);
    if (!best) return;
    const { entry, device } = best;
    this.schedule.remove(entry);
    this.stations.take(key);
    const run = this.#serve(entry, device)
      .catch((thrown: unknown) => {
        const error = asHildaError(thrown);
        this.#options.warn(error, `the job ${entry.record.id} could not be begun`);
        this.#settle(entry, error);
      })
      .finally(() => {
        this.#active.delete(run);
        this.stations.free(key);
        this.#wakeStation(key);
      });
    this.#active.add(run);
  }

  /** Claims the device for the job and runs it. The station is free again once this resolves. */
  async #serve(entry: Entry, device: DeviceRecord): Promise<void> {
    const { clock, retryMs } = this.#options;
    const claimed = await this.#claims.put({ entry, device });
    if (claimed === 'closed') {
      this.#settle(entry, new HildaError('INTERRUPTED', `the job ${entry.record.id} was cancelled`));
      return;
    }
    if (claimed === 'taken') {
      await this.#again(entry);
      // Not left by an abort alone: the station must not ask again at once.
      await clock.sleep(retryMs, { signal: this.#life.signal }).catch(() => {});
      return;
    }
    entry.record = claimed.job;
    this.running.set(device.id, entry);
    const { share } = entry.record;
    const beganUs = clock.monotonicUs();
    this.schedule.begin(share);
    try {
      await this.#run(entry, claimed.lease);
    } finally {
      this.running.delete(device.id);
      this.schedule.end(share, (clock.monotonicUs() - beganUs) / 1000);
    }
  }

  async #run(entry: Entry, lease: Lease): Promise<void> {
    const { pool, store, places } = this.#options;
    const { deviceId } = lease;
    const signal = AbortSignal.any([entry.abort.signal, this.#life.signal]);
    let done: Yield;
    try {
      signal.throwIfAborted();
      const { work } = entry.job;
      if (work.kind === 'lease') return await this.#yielded(entry, lease, handedOver(work, lease));
      const network = await networkOfJob(entry.job, entry.given, places);
      const settles = isSettled(work) && network !== null;
      done = await pool.use(deviceId, { signal, ...(settles && { network }) }, (device) =>
        attempt(entry, device, deviceId, network, { store, places, signal }),
      );
    } catch (thrown) {
      await this.#failed(entry, lease, asHildaError(thrown));
      return;
    }
    await this.#yielded(entry, lease, done);
  }

  /** The one place that stores results: result, state, lease and events in one transaction. */
  async #yielded(entry: Entry, lease: Lease, done: Yield): Promise<void> {
    const { measurement, recalled, result, values, value, outputs, classifies, handOver } = done;
    const trial = trialOf(entry.job.owner);
    if (measurement && measurement.verdict !== 'valid') entry.attempts++;
    const tried = { attempts: entry.attempts, maxAttempts: entry.record.maxAttempts };
    const next = measurement ? afterMeasurement(measurement.verdict === 'valid', tried) : 'final';
    const ended = await this.#store({
      job: entry.record.id,
      lease,
      state: next === 'again' ? 'queued' : 'done',
      result,
      error: null,
      ...(measurement && { measurement: { taken: measurement, ...(trial && { trial }) } }),
      ...(values && { values }),
      ...(handOver && { handOver }),
    });
    if (ended instanceof HildaError) {
      if (ended.code === 'LEASE_STALE') return this.#failed(entry, lease, ended);
      return this.#settle(entry, ended);
    }
    entry.record = ended.job;
    const record = ended.measurement ?? recalled ?? null;
    if (record) entry.last = { measurement: record, classifies };
    if (next === 'again') return this.#again(entry);
    this.#options.onEnded(entry);
    entry.resolve({ job: ended.job, measurement: record, value, outputs, classifies });
  }

  async #failed(entry: Entry, lease: Lease, error: HildaError): Promise<void> {
    const { attempt: begun, maxAttempts, id } = entry.record;
    const isStopping = this.#life.signal.aborted && !entry.abort.signal.aborted;
    const isCancelled = entry.abort.signal.aborted;
    let next: Next = 'final';
    if (!isStopping && !isCancelled) {
      entry.attempts++;
      next = afterFailure(error, { attempts: entry.attempts, maxAttempts });
      if (next === 'elsewhere') {
        entry.attempts--;
        entry.excluded.add(lease.deviceId);
        if (!this.#hasOthers(entry)) next = 'final';
      }
    }
    const kept = next === 'final' && !isCancelled && !isStopping ? entry.last : undefined;
    const staysQueued = next !== 'final' || (isStopping && entry.outlives);
    const document = toErrorDocument(error) as unknown as Json;
    const ended = await this.#store({
      job: id,
      lease,
      state: staysQueued ? 'queued' : kept ? 'done' : isCancelled || isStopping ? 'cancelled' : 'failed',
      result: kept ? { measurementId: kept.measurement.id, classifies: kept.classifies } : null,
      error: document,
    });
    if (ended instanceof HildaError)
      this.#options.warn(ended, `attempt ${begun} of ${id} ended, and another one has the job`);
    else entry.record = ended.job;
    if (next !== 'final') return this.#again(entry);
    if (!kept) return this.#settle(entry, error);
    this.#options.onEnded(entry);
    const { measurement, classifies } = kept;
    entry.resolve({ job: entry.record, measurement, value: null, outputs: null, classifies });
  }

  #hasOthers({ named, excluded, job }: Entry): boolean {
    if (named) return named.some((id) => !excluded.has(id));
    return this.stations.all().some((record) => !excluded.has(record.id) && isMeant(job.devices, record));
  }

  /** It waits again, unless it was cancelled meanwhile. What waits when the daemon stops, stays queued. */
  async #again(entry: Entry): Promise<void> {
    const { signal } = entry.abort;
    if (this.#life.signal.aborted) return;
    if (!signal.aborted) {
      this.add(entry);
      return;
    }
    const error = asHildaError(signal.reason);
    await this.#options.store.closeJobs(
      [entry.record.id],
      'cancelled',
      toErrorDocument(error) as unknown as Json,
    );
    this.#settle(entry, error);
  }

  #settle(entry: Entry, error: HildaError): void {
    this.#options.onEnded(entry);
    const { signal } = entry.abort;
    entry.reject(signal.aborted ? asHildaError(signal.reason) : error);
  }

  /** Where the store takes nothing, the owner hears of it, and the job is ended once it can be. */
  async #store(end: JobEnd): Promise<Ended | HildaError> {
    try {
      return await this.#ends.put(end);
    } catch (thrown) {
      const error = asHildaError(thrown);
      this.#options.warn(error, `what became of ${end.job} is not stored`);
      void this.#storeLater(end, error);
      return error;
    }
  }

  async #storeLater({ job, lease }: JobEnd, error: HildaError): Promise<void> {
    const { clock } = this.#options;
    const document = toErrorDocument(error) as unknown as Json;
    for (;;) {
      try {
        await clock.sleep(storeAgainMs, { signal: this.#life.signal });
      } catch {
        return;
      }
      const failed = { job, lease, state: 'failed', result: null, error: document } as const;
      if (
        await this.#ends.put(failed).then(
          () => true,
          () => false,
        )
      )
        return;
    }
  }

  async #renew(): Promise<void> {
    const { clock, store, owner, ttlMs, warn } = this.#options;
    for (;;) {
      try {
        // Three tries in a lease's life, so that one slow write does not lose the devices.
        await clock.sleep(ttlMs / 3, { signal: this.#life.signal });
      } catch {
        if (this.#active.size === 0) return;
      }
      if (this.running.size > 0)
        await store
          .renewLeases(owner, ttlMs)
          .catch((thrown: unknown) => warn(asHildaError(thrown), 'leases could not be renewed'));
      if (this.#life.signal.aborted) return;
    }
  }
}
