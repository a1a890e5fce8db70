import type { Clock } from '../core/clock.js';
import { asHildaError, HildaError, toErrorDocument } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import type { DevicePool } from '../fleet/device-pool.js';
import type { DeviceRecord, JobRecord, Lease, Store } from '../store/contract.js';
import type { Ended, JobEnd, NewJob } from '../store/job-contract.js';
import { type LateWrites, mayPass } from '../store/late-writes.js';
import { attempt, handedOver, type Yield } from './attempt.js';
import type { Places } from './bound-network.js';
import { Dispatcher } from './dispatcher.js';
import { type Ending, failed, outcomeOf, yielded } from './ending.js';
import type { Entry } from './entry.js';
import { isSettled } from './job.js';
import { JobTurns, type Next } from './job-turns.js';
import { networkOfJob } from './materials.js';
import { renewLeases } from './renew-leases.js';
import { isMeant } from './selector.js';

export interface RunnerOptions {
  readonly store: Store;
  readonly pool: Pick<DevicePool, 'use' | 'presence'>;
  readonly clock: Clock;
  readonly places: Places;
  readonly late: LateWrites;
  /** Names this daemon's leases. Ends with a slash. */
  readonly owner: string;
  /** How long a lease outlives its last renewal. */
  readonly ttlMs: number;
  /** How often a device that somebody else holds is asked for again. */
  readonly retryMs: number;
  /** Between two tries where the store takes nothing. */
  readonly storeAgainMs: number;
  /** How long a result waits for others while results come often; 0: not at all. */
  readonly gatherMs: number;
  readonly warn: (error: HildaError, message: string) => void;
  /** The job has ended for good, or an abort ended it. */
  readonly onEnded: (entry: Entry) => void;
}

/** A job that comes in waits so much longer for results to be stored with than they for each other. */
const patience = 4;

/** Runs the jobs of every station, one after the other: claim, work, and what follows from it. */
export class Runner {
  readonly dispatcher: Dispatcher;
  /** Running jobs, by device. */
  readonly running = new Map<DeviceId, Entry>();
  readonly #options: RunnerOptions;
  readonly #life = new AbortController();
  readonly #turns: JobTurns;

  constructor(options: RunnerOptions) {
    this.#options = options;
    this.dispatcher = new Dispatcher({ pool: options.pool, serve: (station) => this.#serve(station) });
    const { clock, gatherMs } = options;
    this.#turns = new JobTurns({
      ...options,
      ...(gatherMs > 0 && { gathering: { clock, waitMs: gatherMs, patientMs: patience * gatherMs } }),
      pick: (station) => this.dispatcher.pick(station),
      putBack: ({ entry }) => {
        this.dispatcher.schedule.unbegin(entry);
        void this.#again(entry);
      },
    });
  }

  /** Stores a job that comes in. Throws IDEMPOTENCY_CONFLICT. */
  store(job: NewJob): Promise<JobRecord> {
    return this.#turns.submit(job);
  }

  /** Keeps the leases of running jobs alive until it stops. */
  start(): void {
    const isHolding = (): boolean => this.dispatcher.isServing;
    void renewLeases({ ...this.#options, isHolding, signal: this.#life.signal });
  }

  /** Ends what runs: it is queued again, or cancelled where it cannot outlive the daemon. */
  async stop(): Promise<void> {
    this.#life.abort(new HildaError('INTERRUPTED', 'the daemon is stopping'));
    await this.dispatcher.stop();
  }

  /** Serves jobs until none waits for the station, or somebody else has its device. */
  async #serve(station: string): Promise<void> {
    const { clock, retryMs, storeAgainMs, warn } = this.#options;
    const pause = (ms: number): Promise<void> =>
      clock.sleep(ms, { signal: this.#life.signal }).catch(() => {});
    try {
      let { next } = await this.#turns.put({ end: null, station });
      while (next) {
        if (next.kind === 'begun') {
          next = await this.#run(next, station);
          continue;
        }
        this.dispatcher.schedule.unbegin(next.entry);
        if (next.kind === 'taken') {
          await this.#again(next.entry);
          // Not left by an abort alone: the station must not ask again at once.
          return await pause(retryMs);
        }
        const { id } = next.entry.record;
        this.#settle(next.entry, new HildaError('INTERRUPTED', `the job ${id} was cancelled`));
        ({ next } = await this.#turns.put({ end: null, station }));
      }
    } catch (thrown) {
      warn(asHildaError(thrown), `no job could be begun on the ${station}`);
      await pause(storeAgainMs);
    }
  }

  /** Does the job's work and stores what came of it; answers with what the station does next. */
  async #run({ entry, lease, device }: Next & { kind: 'begun' }, station: string): Promise<Next | null> {
    const { clock } = this.#options;
    this.running.set(lease.deviceId, entry);
    const beganUs = clock.monotonicUs();
    let ending: Ending;
    try {
      ending = yielded(entry, await this.#work(entry, lease, device));
    } catch (thrown) {
      ending = this.#failed(entry, lease, asHildaError(thrown));
    }
    this.dispatcher.schedule.end(entry, (clock.monotonicUs() - beganUs) / 1000);
    return this.#end(entry, lease, ending, station);
  }

  async #work(entry: Entry, lease: Lease, record: DeviceRecord): Promise<Yield> {
    const { pool, store, places } = this.#options;
    const { deviceId } = lease;
    const { work } = entry.job;
    const signal = AbortSignal.any([entry.abort.signal, this.#life.signal]);
    signal.throwIfAborted();
    if (work.kind === 'lease') return handedOver(work, lease);
    const network = await networkOfJob(entry.job, entry.given, places);
    const settles = isSettled(work) && network !== null;
    const isHealthCheck = entry.job.owner.kind === 'health';
    return pool.use(deviceId, { signal, record, isHealthCheck, ...(settles && { network }) }, (device) =>
      attempt(entry, device, deviceId, network, { store, places, signal }),
    );
  }

  #failed(entry: Entry, { deviceId }: Lease, error: HildaError): Ending {
    const isStopping = this.#life.signal.aborted;
    return failed(entry, error, { deviceId, isStopping, hasOthers: () => this.#hasOthers(entry) });
  }

  #hasOthers({ named, excluded, job }: Entry): boolean {
    if (named) return named.some((id) => !excluded.has(id));
    return this.dispatcher.stations
      .all()
      .some((record) => !excluded.has(record.id) && isMeant(job.devices, record));
  }

  /** Stores an ending. A job that runs again keeps its place before those that wait, so the station asks anew for it. */
  async #end(entry: Entry, lease: Lease, ending: Ending, station: string | null): Promise<Next | null> {
    const { id } = entry.record;
    const end = { ...ending.end, job: id, lease, workEndedMs: this.#options.clock.nowMs() };
    const takesNext = ending.next === 'final' && !end.handOver;
    try {
      const { ended, next } = await this.#turns.put({ end, station: takesNext ? station : null });
      this.running.delete(lease.deviceId);
      await this.#stored(entry, lease, ending, ended as Ended | HildaError);
      return next;
    } catch (thrown) {
      this.running.delete(lease.deviceId);
      this.#unstored(entry, end, ending, asHildaError(thrown));
      return null;
    }
  }

  async #stored(entry: Entry, lease: Lease, ending: Ending, ended: Ended | HildaError): Promise<void> {
    if (ended instanceof HildaError && ending.done) {
      if (ended.code !== 'LEASE_STALE') return this.#settle(entry, ended);
      await this.#end(entry, lease, this.#failed(entry, lease, ended), null);
      return;
    }
    let taken: Ended['measurement'] = null;
    if (ended instanceof HildaError)
      this.#options.warn(ended, `an attempt of ${entry.record.id} ended, and another one has the job`);
    else {
      entry.record = ended.job;
      taken = ended.measurement;
      const measurement = taken ?? ending.done?.recalled;
      if (measurement) entry.last = { measurement, classifies: ending.done?.classifies ?? null };
      entry.given.onAttempt?.({
        deviceId: lease.deviceId,
        measurementId: measurement?.id ?? null,
        error: ending.end.error,
        startedMs: ended.job.startedMs,
        endedMs: this.#options.clock.nowMs(),
      });
    }
    if (ending.next !== 'final') return this.#again(entry);
    const outcome = outcomeOf(entry, ending, taken);
    if (!outcome) return this.#settle(entry, ending.error as HildaError);
    this.#options.onEnded(entry);
    entry.resolve(outcome);
  }

  /** The store takes nothing: the owner of an ended job hears of it, and the ending is stored once it can be. */
  #unstored(entry: Entry, end: JobEnd, ending: Ending, error: HildaError): void {
    const { id } = entry.record;
    const document = toErrorDocument(error) as unknown as Json;
    const { job, lease, workEndedMs = this.#options.clock.nowMs() } = end;
    const inVain = { job, lease, workEndedMs, state: 'failed', result: null, error: document } as const;
    // A caller that waited for the device, or for a result that fits no store, hears of a failure.
    const stored = mayPass(error) && !end.handOver ? end : inVain;
    const { late } = this.#options;
    const write = async (): Promise<void> => {
      const { ended } = await this.#turns.put({ end: stored, station: null });
      if (ended instanceof HildaError) throw ended;
      if (ending.next !== 'final' && stored === end) await this.#stored(entry, lease, ending, ended as Ended);
      this.dispatcher.wake(lease.deviceId);
    };
    const what = `what became of ${id}`;
    if (mayPass(error)) late.keep(what, error, write);
    else void late.write(what, write).catch(() => {});
    if (ending.next === 'final' || stored !== end) this.#settle(entry, error);
  }

  /** It waits again, unless it was cancelled meanwhile. What waits when the daemon stops, stays queued. */
  async #again(entry: Entry): Promise<void> {
    const { signal } = entry.abort;
    if (this.#life.signal.aborted) return;
    if (!signal.aborted) {
      this.dispatcher.add(entry);
      return;
    }
    const error = asHildaError(signal.reason);
    const { late, store } = this.#options;
    const { id } = entry.record;
    const document = toErrorDocument(error) as unknown as Json;
    await late
      .write(`the cancellation of ${id}`, () => store.closeJobs([id], 'cancelled', document))
      .catch(() => {});
    this.#settle(entry, error);
  }

  #settle(entry: Entry, error: HildaError): void {
    this.#options.onEnded(entry);
    const { signal } = entry.abort;
    entry.reject(signal.aborted ? asHildaError(signal.reason) : error);
  }
}
