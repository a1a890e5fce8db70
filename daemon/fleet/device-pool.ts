import { hostname } from 'node:os';
import type { Clock } from '../core/clock.js';
import { asHildaError, HildaError } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import { targetKey } from '../core/target.js';
import type { Device, Driver, Sighting } from '../devices/contract.js';
import { calibrationSchema } from '../measure/calibration.js';
import type { DeviceRecord, Lease, Store } from '../store/contract.js';
import { type LeaseTimes, withLease } from './held-lease.js';
import { JobQueue } from './job-queue.js';

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
}

/** A recorded device with what stands in the way of using it now. */
export type SeenDevice = DeviceRecord & Pick<Sighting, 'obstacle'>;

interface Seen {
  readonly driver: Driver;
  readonly sighting: Sighting;
}

interface Slot {
  readonly queue: JobQueue;
  /** Opened by the first job and kept for the next ones. */
  device: Device | undefined;
}

const defaultTimes: LeaseTimes = { ttlMs: 30_000, retryMs: 500 };

/** The bench: finds devices, opens them when first needed, and gives each to one job at a time under a lease. */
export class DevicePool {
  readonly #options: DevicePoolOptions;
  readonly #owner: string;
  readonly #seen = new Map<DeviceId, Seen>();
  readonly #slots = new Map<DeviceId, Slot>();
  #stopping: Promise<void> | undefined;
  #life = new AbortController();

  constructor(options: DevicePoolOptions) {
    this.#options = options;
    this.#owner = `${options.owner ?? hostname()}/`;
  }

  /** Frees the leases that a former daemon of this host left behind. Aborting the signal stops the pool. */
  async start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.#stopping = undefined;
    this.#life = new AbortController();
    await this.#options.store.expireLeases(this.#owner);
    signal.addEventListener('abort', () => void this.stop(), { once: true });
  }

  /** Refuses new jobs, waits for the running ones, closes the devices. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  /** Looks at every driver once and records what it sees. A driver that fails does not hide the others' devices. */
  async discover({
    signal = this.#life.signal,
  }: {
    readonly signal?: AbortSignal;
  } = {}): Promise<SeenDevice[]> {
    const found: SeenDevice[] = [];
    for (const driver of this.#options.drivers) {
      try {
        for await (const sighting of driver.discover({ signal })) {
          const { id, kind, label, target, obstacle } = sighting;
          const record = await this.#options.store.upsertDevice({ id, kind, label, target });
          this.#seen.set(id, { driver, sighting });
          found.push({ ...record, obstacle });
        }
      } catch (thrown) {
        signal.throwIfAborted();
        const error = asHildaError(thrown);
        if (storeFaults.has(error.code)) throw error;
        this.#warn(error, `driver ${driver.kind} could not look for devices`);
      }
    }
    return found;
  }

  /** Takes a device into use. Throws DEVICE_UNKNOWN, or DEVICE_FAILED where an obstacle stands in the way. */
  async adopt(id: DeviceId): Promise<DeviceRecord> {
    await this.#options.store.device(id);
    await this.#usable(id, this.#life.signal);
    return this.#options.store.setDeviceState(id, 'adopted');
  }

  /**
   * Runs a job with the device to itself, and answers with its result. Jobs of one device run one after another. A
   * device whose job threw DEVICE_FAILED is closed, and opened afresh for the next job. Throws DEVICE_UNKNOWN,
   * DEVICE_FAILED when it cannot be opened, STATE_CONFLICT when people took it out of use, what the job throws, and
   * the signal's reason.
   */
  async withDevice<T>(
    id: DeviceId,
    options: JobOptions,
    job: (device: Device, lease: Lease) => Promise<T>,
  ): Promise<T> {
    const { store, clock } = this.#options;
    const { holder, priority = 0, signal } = options;
    if (this.#stopping) throw new HildaError('INTERRUPTED', 'the daemon is stopping');
    const { state } = await store.device(id);
    if (state === 'ignored' || state === 'quarantined')
      throw new HildaError('STATE_CONFLICT', `the device ${id} is ${state}`);

    const slot = this.#slot(id);
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
          slot.device ??= await this.#open(id, both);
          try {
            return await job(slot.device, lease);
          } catch (thrown) {
            if (asHildaError(thrown).code === 'DEVICE_FAILED') await this.#close(id, slot);
            throw thrown;
          }
        }),
      { priority, signal: both },
    );
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
    const slot = this.#slots.get(id) ?? { queue: new JobQueue(), device: undefined };
    this.#slots.set(id, slot);
    return slot;
  }

  async #open(id: DeviceId, signal: AbortSignal): Promise<Device> {
    const { driver, sighting } = await this.#usable(id, signal);
    const device = await driver.open(sighting, { signal });
    await this.#calibrate(id, device, signal);
    return device;
  }

  /** Normalised latencies of one device stay in one unit for as long as the store remembers its calibration. */
  async #calibrate(id: DeviceId, device: Device, signal: AbortSignal): Promise<void> {
    if (!device.calibrate) return;
    const { store } = this.#options;
    const key = `calibration ${id} ${targetKey(device.target)}`;
    const { data: known } = calibrationSchema.safeParse(await store.value(key));
    const calibration = await device.calibrate({ signal, ...(known && { known }) });
    if (!known) await store.setValue(key, calibration);
  }

  /** A device known from an earlier run of the daemon is looked for first. */
  async #usable(id: DeviceId, signal: AbortSignal): Promise<Seen> {
    if (!this.#seen.has(id)) await this.discover({ signal });
    const seen = this.#seen.get(id);
    if (!seen) {
      throw new HildaError('DEVICE_FAILED', `the device ${id} is not there now`, {
        hint: 'Plug it in, then run `hilda devices list`.',
      });
    }
    if (seen.sighting.obstacle !== null) {
      throw new HildaError('DEVICE_FAILED', `the device ${id} cannot be used`, {
        hint: seen.sighting.obstacle,
      });
    }
    return seen;
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

const storeFaults: ReadonlySet<string> = new Set(['DISK_FULL', 'STORE_CORRUPT', 'STORE_BUSY']);
