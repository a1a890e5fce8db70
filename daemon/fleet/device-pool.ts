import { hostname } from 'node:os';
import type { Clock } from '../core/clock.js';
import { asHildaError, HildaError } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import { targetKey } from '../core/target.js';
import type { Device, Driver } from '../devices/contract.js';
import { calibrationSchema } from '../measure/calibration.js';
import type { Graph } from '../network/graph.js';
import type { DeviceRecord, Lease, Store } from '../store/contract.js';
import { isAtFault, isAway } from './away.js';
import { Departures } from './departures.js';
import { checkHealth, isNoSmaller, largerOf, type Ran } from './health.js';
import { type LeaseTimes, withLease } from './held-lease.js';
import { HostTurns } from './host-turns.js';
import { JobQueue } from './job-queue.js';
import { Lookout, type Presence, type SeenDevice } from './lookout.js';
import { storeLedger } from './repeatability-ledger.js';
import { RepeatingDevice } from './repeating-device.js';
import { settled } from './settle-blame.js';

export interface DevicePoolOptions extends Partial<LeaseTimes> {
  readonly store: Store;
  readonly drivers: readonly Driver[];
  readonly clock: Clock;
  /** pino fits. */
  readonly logger?: { warn(details: object, message: string): void };
  /** Names this daemon's leases, so that its successor frees what it left behind. Default: the host's name. */
  readonly owner?: string;
}

export interface JobOptions {
  /** Who uses the device, shown to people, e.g. `study:study-3`. */
  readonly holder: string;
  /** Higher goes first; default 0. */
  readonly priority?: number;
  /** Ends the wait for the device. The job itself must mind it too. */
  readonly signal: AbortSignal;
  /**
   * The network that the job measures. Whose fault a failure is, is then settled on this very device (see `settled`): the job may
   * run several times, so it must record nothing before its last step.
   */
  readonly network?: Graph;
}

interface Slot {
  readonly queue: JobQueue;
  /** Opened by the first job and kept for the next ones. */
  device: Device | undefined;
  /** Jobs that run, wait, or are about to. */
  jobs: number;
  /** Failures of the device in a row. */
  strikes: number;
  /** The largest network that ran. */
  largest: Ran | undefined;
  /** How often the device left during a network. */
  readonly departures: Departures;
}

/** A job's turn on a device, with its lease and its host's turn held. */
interface Turn {
  readonly id: DeviceId;
  readonly slot: Slot;
  readonly signal: AbortSignal;
  /** An agent's: see `suspicionOf`. */
  readonly isRemote: boolean;
}

/** After so many failures in a row the device itself is examined before it gets another job. */
const strikesBeforeCheck = 3;

const defaultTimes: LeaseTimes = { ttlMs: 30_000, retryMs: 500 };

/** The bench: finds devices, opens them when first needed, and gives each to one job at a time under a lease. */
export class DevicePool {
  readonly #options: DevicePoolOptions;
  readonly #owner: string;
  readonly #lookout: Lookout;
  readonly #slots = new Map<DeviceId, Slot>();
  readonly #turns = new HostTurns();
  #stopping: Promise<void> | undefined;
  #life = new AbortController();

  constructor(options: DevicePoolOptions) {
    this.#options = options;
    this.#owner = `${options.owner ?? hostname()}/`;
    this.#lookout = new Lookout({
      store: options.store,
      drivers: options.drivers,
      warn: (error, message) => this.#warn(error, message),
      onGone: (id) => void this.#closeWhenIdle(id),
    });
  }

  /**
   * Frees the leases that a former daemon of this host left behind, and follows what comes and goes. Aborting the signal
   * stops the pool.
   */
  async start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.#stopping = undefined;
    this.#life = new AbortController();
    await this.#options.store.expireLeases(this.#owner);
    this.#lookout.watch(this.#life.signal);
    signal.addEventListener('abort', () => void this.stop(), { once: true });
  }

  /** Refuses new jobs, waits for the running ones, closes the devices. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  /** Looks at every driver once and records what it sees. A driver that fails does not hide the others' devices. */
  discover({ signal = this.#life.signal }: { readonly signal?: AbortSignal } = {}): Promise<SeenDevice[]> {
    return this.#lookout.look(signal);
  }

  /** Whether the device was there when its driver was last looked at. */
  presence(id: DeviceId): Presence {
    return this.#lookout.presence(id);
  }

  /**
   * Takes a device into use, or back into use. Throws DEVICE_UNKNOWN, DEVICE_GONE, or DEVICE_FAILED where an obstacle
   * stands in the way.
   */
  async adopt(id: DeviceId): Promise<DeviceRecord> {
    await this.#options.store.device(id);
    await this.#lookout.usable(id, this.#life.signal);
    this.#slot(id).strikes = 0;
    return this.#options.store.setDeviceState(id, 'adopted');
  }

  /** Takes a device out of use; a running job ends undisturbed. `ignored`: not ours. `quarantined`: not to be trusted. */
  async setAside(
    id: DeviceId,
    state: 'ignored' | 'quarantined',
    reason: string | null = null,
  ): Promise<DeviceRecord> {
    const record = await this.#options.store.setDeviceState(id, state, reason);
    void this.#closeWhenIdle(id);
    return record;
  }

  tag(id: DeviceId, tags: readonly string[]): Promise<DeviceRecord> {
    return this.#options.store.setDeviceTags(id, tags);
  }

  /**
   * As `withDevice`, on whichever of the devices is there and least busy. Where the device leaves during the job, or does not
   * open, the job runs again on another one, so it must record nothing before its last step. When none is left, throws why
   * the last one is not available.
   */
  async withAny<T>(
    ids: readonly DeviceId[],
    options: JobOptions,
    job: (device: Device, lease: Lease) => Promise<T>,
  ): Promise<T> {
    const left = new Set(ids);
    let gone: unknown = new HildaError('DEVICE_GONE', `none of the devices ${ids.join(', ')} is there now`);
    while (left.size > 0) {
      const load = (id: DeviceId): number =>
        this.presence(id).present ? this.#slot(id).jobs : Number.POSITIVE_INFINITY;
      const id = [...left].reduce((best, other) => (load(other) < load(best) ? other : best));
      try {
        return await this.withDevice(id, options, job);
      } catch (thrown) {
        if (!isAway(thrown) && asHildaError(thrown).code !== 'STATE_CONFLICT') throw thrown;
        left.delete(id);
        gone = thrown;
      }
    }
    throw gone;
  }

  /**
   * Runs a job with the device to itself, and answers with its result. Jobs of one device run one after another. A
   * device whose job threw DEVICE_FAILED or DEVICE_GONE is closed, and opened afresh for the next job. A failure of a job
   * that names its network is settled first: `details.atFault` says whose it is. A device that was at fault three times in a
   * row is quarantined; one that merely failed so often must first open and run a reference network. Throws DEVICE_UNKNOWN,
   * DEVICE_GONE, DEVICE_FAILED with `details.unopened` `obstacle`, what opening or calibrating throws with `details.unopened`
   * `failed`, STATE_CONFLICT when it was taken out of use, what the job throws, and the signal's reason.
   */
  async withDevice<T>(
    id: DeviceId,
    options: JobOptions,
    job: (device: Device, lease: Lease) => Promise<T>,
  ): Promise<T> {
    if (this.#stopping) throw new HildaError('INTERRUPTED', 'the daemon is stopping');
    const slot = this.#slot(id);
    slot.jobs++;
    try {
      await this.#assertInUse(id);
      return await this.#queued(id, slot, options, job);
    } finally {
      slot.jobs--;
    }
  }

  async #queued<T>(
    id: DeviceId,
    slot: Slot,
    { holder, priority = 0, signal, network }: JobOptions,
    job: (device: Device, lease: Lease) => Promise<T>,
  ): Promise<T> {
    const { store, clock } = this.#options;
    const both = AbortSignal.any([signal, this.#life.signal]);
    const times = {
      ttlMs: this.#options.ttlMs ?? defaultTimes.ttlMs,
      retryMs: this.#options.retryMs ?? defaultTimes.retryMs,
    };
    const onTrouble = (error: HildaError): void => this.#warn(error, `the lease of ${id} is in trouble`);
    const hold = {
      store,
      clock,
      deviceId: id,
      holder: this.#owner + holder,
      signal: both,
      onTrouble,
      ...times,
    };
    return slot.queue.run(
      () =>
        withLease(hold, async (lease) => {
          const { host, kind } = await this.#assertInUse(id);
          const turn = { id, slot, signal: both, isRemote: kind === 'agent' };
          const work = (): Promise<T> => this.#perform(turn, network, (device) => job(device, lease));
          return this.#turns.run(host, work, { priority, signal: both });
        }),
      { priority, signal: both },
    );
  }

  async #perform<T>(turn: Turn, network: Graph | undefined, job: (device: Device) => Promise<T>): Promise<T> {
    const { id, slot, signal } = turn;
    try {
      if (slot.strikes >= strikesBeforeCheck) await this.#examine(id, slot, signal);
      const attempt = async (): Promise<T> => job(await this.#opened(id, slot, signal));
      const result = await (network ? this.#settle(turn, network, attempt) : attempt());
      slot.strikes = 0;
      return result;
    } catch (thrown) {
      await this.#blamed(id, slot, asHildaError(thrown), network !== undefined);
      throw thrown;
    }
  }

  async #opened(id: DeviceId, slot: Slot, signal: AbortSignal): Promise<Device> {
    slot.device ??= await this.#open(id, signal);
    return slot.device;
  }

  /** Does the job, or throws whose fault it is that it fails. */
  async #settle<T>(
    { id, slot, signal, isRemote }: Turn,
    network: Graph,
    attempt: () => Promise<T>,
  ): Promise<T> {
    const { clock } = this.#options;
    const run = async (other?: Graph): Promise<void> =>
      checkHealth(await this.#opened(id, slot, signal), signal, other);
    const { largest } = slot;
    const result = await slot.departures.watch(network, {
      device: id,
      reference: run,
      work: () =>
        settled(
          {
            attempt,
            reference: run,
            larger: async () => {
              if (isNoSmaller(largest, network)) await run(largest.network);
            },
            close: () => this.#close(id, slot),
          },
          { device: id, clock, signal, isRemote },
        ),
    });
    slot.largest = largerOf(largest, network);
    return result;
  }

  /** What a failure means for the device: a strike, to be opened afresh, to be taken out of use. */
  async #blamed(id: DeviceId, slot: Slot, error: HildaError, isSettled: boolean): Promise<void> {
    const { code, message, details } = error;
    if (details.unopened === 'failed') slot.strikes++;
    else if (details.unopened === undefined && !isSettled && deviceAtFault.has(code)) slot.strikes++;
    else if (isAtFault(error) && details.moment !== true) slot.strikes++;
    else if (details.atFault === 'network') slot.strikes = 0;
    if (deviceAtFault.has(code) || isAtFault(error) || code === 'DEVICE_GONE') await this.#close(id, slot);
    if (isAtFault(error) && slot.strikes >= strikesBeforeCheck) await this.#quarantine(id, slot, message);
  }

  async #stop(): Promise<void> {
    this.#life.abort(new HildaError('INTERRUPTED', 'the daemon is stopping'));
    await Promise.all(
      [...this.#slots].map(async ([id, slot]) => {
        await slot.queue.close();
        await this.#close(id, slot);
      }),
    );
    this.#slots.clear();
  }

  #slot(id: DeviceId): Slot {
    const slot = this.#slots.get(id) ?? {
      queue: new JobQueue(),
      device: undefined,
      jobs: 0,
      strikes: 0,
      largest: undefined,
      departures: new Departures(),
    };
    this.#slots.set(id, slot);
    return slot;
  }

  async #open(id: DeviceId, signal: AbortSignal): Promise<Device> {
    const { driver, sighting } = await this.#lookout.usable(id, signal);
    let device: Device | undefined;
    try {
      device = await driver.open(sighting, { signal });
      await this.#calibrate(id, device, signal);
      return new RepeatingDevice(device, {
        ledger: storeLedger(this.#options.store, id, device.target),
        clock: this.#options.clock,
        onTrouble: (error) => this.#warn(error, `a probe of the repeatability of ${id} failed`),
      });
    } catch (thrown) {
      await device?.close().catch(() => {});
      const { code, message, hint, details } = asHildaError(thrown);
      if (signal.aborted || notOfOpening.has(code)) throw thrown;
      throw new HildaError(code, message, {
        hint,
        details: { ...details, unopened: 'failed' },
        cause: thrown,
      });
    }
  }

  /** Normalised latencies of one device stay in one unit for as long as the store remembers its calibration. */
  async #calibrate(id: DeviceId, device: Device, signal: AbortSignal): Promise<void> {
    if (!device.calibrate) return;
    const { store } = this.#options;
    // The second unit: legs count with their mean. What an earlier version took by medians is another unit.
    const key = `calibration 2 ${id} ${targetKey(device.target)}`;
    const { data: known } = calibrationSchema.safeParse(await store.value(key));
    const calibration = await device.calibrate({ signal, ...(known && { known }) });
    if (!known) await store.setValue(key, calibration);
  }

  async #assertInUse(id: DeviceId): Promise<DeviceRecord> {
    const record = await this.#options.store.device(id);
    const { state, reason } = record;
    if (state !== 'ignored' && state !== 'quarantined') return record;
    throw new HildaError('STATE_CONFLICT', `the device ${id} is ${state}${reason ? `: ${reason}` : ''}`, {
      hint: `Take it back into use with \`hilda devices adopt ${id}\`.`,
      details: { setAside: state },
    });
  }

  /** Throws STATE_CONFLICT after it quarantined a device that does not open or cannot run a reference network either. */
  async #examine(id: DeviceId, slot: Slot, signal: AbortSignal): Promise<void> {
    try {
      await checkHealth(await this.#opened(id, slot, signal), signal);
      slot.strikes = 0;
    } catch (thrown) {
      signal.throwIfAborted();
      const error = asHildaError(thrown);
      if (isAway(error) && error.details.unopened !== 'failed') throw error;
      await this.#quarantine(id, slot, error.message);
    }
  }

  /** Throws STATE_CONFLICT, as every later job will. */
  async #quarantine(id: DeviceId, slot: Slot, why: string): Promise<never> {
    const reason = `failed ${slot.strikes} times in a row, then a reference network: ${why}`;
    await this.#options.store.setDeviceState(id, 'quarantined', reason);
    await this.#close(id, slot);
    await this.#assertInUse(id);
    throw new HildaError('STATE_CONFLICT', `the device ${id} is quarantined: ${reason}`);
  }

  /** After the jobs that wait for it: they find out by themselves that it is gone. */
  async #closeWhenIdle(id: DeviceId): Promise<void> {
    const slot = this.#slots.get(id);
    if (!slot?.device || this.#stopping) return;
    await slot.queue
      .run(() => this.#close(id, slot), { priority: Number.POSITIVE_INFINITY, signal: this.#life.signal })
      .catch(() => {});
  }

  async #close(id: DeviceId, slot: Slot): Promise<void> {
    const { device } = slot;
    slot.device = undefined;
    await device
      ?.close()
      .catch((thrown: unknown) => this.#warn(asHildaError(thrown), `closing ${id} failed`));
  }

  #warn(error: HildaError, message: string): void {
    this.#options.logger?.warn({ err: error, code: error.code }, message);
  }
}

/** Errors while a device opens that do not mean that it failed to open; all others do. */
const notOfOpening: ReadonlySet<string> = new Set([
  'DEVICE_GONE',
  'DEVICE_BUSY',
  'INTERRUPTED',
  'LEASE_STALE',
  'DISK_FULL',
  'STORE_BUSY',
  'STORE_CORRUPT',
]);

/** It crashed, or spoke nonsense: it is opened afresh before anything else runs on it. */
const deviceAtFault: ReadonlySet<string> = new Set(['DEVICE_FAILED', 'MESSAGE_INVALID']);
