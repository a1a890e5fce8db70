import type { Clock } from '../core/clock.js';
import { HildaError } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import type { Device, Driver } from '../devices/contract.js';
import type { DeviceRecord, Store } from '../store/contract.js';
import type { Quarantine } from '../store/records.js';
import { DeviceSlot, type UseOptions } from './device-slot.js';
import { healthMarks, setHealthMarks } from './health/reference-levels.js';
import { Lookout, type Presence, type SeenDevice } from './lookout.js';

export interface DevicePoolOptions {
  readonly store: Store;
  readonly drivers: readonly Driver[];
  readonly clock: Clock;
  /** pino fits. */
  readonly logger?: { warn(details: object, message: string): void };
}

/** Finds devices, opens them when they are first used, and keeps what happens to them. Jobs decide who uses which. */
export class DevicePool {
  readonly #options: DevicePoolOptions;
  readonly #lookout: Lookout;
  readonly #slots = new Map<DeviceId, DeviceSlot>();
  readonly #listeners = new Set<() => void>();
  #stopping: Promise<void> | undefined;
  #life = new AbortController();

  constructor(options: DevicePoolOptions) {
    this.#options = options;
    this.#lookout = new Lookout({
      store: options.store,
      drivers: options.drivers,
      warn: (error, message) => this.#warn(error, message),
      onSeen: () => this.#changed(),
      onGone: (id) => void this.#slots.get(id)?.closeWhenIdle(this.#life.signal),
    });
  }

  /** Follows what comes and goes. Aborting the signal stops the pool. */
  async start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.#stopping = undefined;
    this.#life = new AbortController();
    this.#lookout.watch(this.#life.signal);
    signal.addEventListener('abort', () => void this.stop(), { once: true });
  }

  /** Refuses further uses, waits for the present ones, closes the devices. */
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

  /** Calls back when a device came, or its record changed. Returns the way to stop. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /**
   * Takes a device into use, or back into use. Throws DEVICE_UNKNOWN, DEVICE_GONE, or DEVICE_FAILED where an obstacle
   * stands in the way.
   */
  async adopt(id: DeviceId): Promise<DeviceRecord> {
    const { state } = await this.#options.store.device(id);
    await this.#lookout.usable(id, this.#life.signal);
    if (state === 'quarantined') return this.release(id);
    this.#slot(id).forgive();
    return this.#told(this.#options.store.setDeviceState(id, 'adopted'));
  }

  /** Takes a device out of use; a running job ends undisturbed. `quarantined`: not to be trusted. */
  async setAside(
    id: DeviceId,
    state: 'ignored' | 'quarantined',
    reason: string | null = null,
    by: Quarantine['by'] = 'hand',
  ): Promise<DeviceRecord> {
    const record = await this.#told(this.#options.store.setDeviceState(id, state, reason, by));
    void this.#slots.get(id)?.closeWhenIdle(this.#life.signal);
    return record;
  }

  /**
   * Ends a quarantine, whether the device is there or not. What it did before counts for no rule any more; with `relearn` its
   * former reference levels teach no limits either. Throws STATE_CONFLICT where it is in none.
   */
  async release(
    id: DeviceId,
    { relearn = false }: { readonly relearn?: boolean } = {},
  ): Promise<DeviceRecord> {
    const { store, clock } = this.#options;
    const { state } = await store.device(id);
    if (state !== 'quarantined')
      throw new HildaError('STATE_CONFLICT', `the device ${id} is ${state}, not in quarantine`, {
        hint: `See \`hilda devices show ${id}\`.`,
      });
    const nowMs = clock.nowMs();
    const marks = await healthMarks(store, id);
    const learnFromMs = relearn ? nowMs : marks.learnFromMs;
    await setHealthMarks(store, id, { learnFromMs, countFromMs: nowMs });
    this.#slot(id).forgive();
    return this.#told(store.setDeviceState(id, 'adopted'));
  }

  tag(id: DeviceId, tags: readonly string[]): Promise<DeviceRecord> {
    return this.#told(this.#options.store.setDeviceTags(id, tags));
  }

  /**
   * Does work with the open device; the caller holds its lease. A device whose work threw DEVICE_FAILED or DEVICE_GONE
   * is closed, and opened afresh for the next one. A failure of work that names its network is settled first:
   * `details.atFault` says whose it is. A device that was at fault three times in a row is quarantined; one that merely
   * failed so often must first open and run a reference network. Throws DEVICE_UNKNOWN, DEVICE_GONE, DEVICE_FAILED with
   * `details.unopened` `obstacle`, what opening or calibrating throws with `details.unopened` `failed`, STATE_CONFLICT
   * when it was taken out of use, what the work throws, and the signal's reason.
   */
  async use<T>(id: DeviceId, options: UseOptions, work: (device: Device) => Promise<T>): Promise<T> {
    if (this.#stopping) throw new HildaError('INTERRUPTED', 'the daemon is stopping');
    const signal = AbortSignal.any([options.signal, this.#life.signal]);
    return this.#slot(id).use({ ...options, signal }, work);
  }

  async #stop(): Promise<void> {
    this.#life.abort(new HildaError('INTERRUPTED', 'the daemon is stopping'));
    await Promise.all([...this.#slots.values()].map((slot) => slot.stop()));
    this.#slots.clear();
  }

  #slot(id: DeviceId): DeviceSlot {
    const slot =
      this.#slots.get(id) ??
      new DeviceSlot(id, {
        store: this.#options.store,
        clock: this.#options.clock,
        usable: (one, signal) => this.#lookout.usable(one, signal),
        warn: (error, message) => this.#warn(error, message),
        onChanged: () => this.#changed(),
      });
    this.#slots.set(id, slot);
    return slot;
  }

  async #told(changed: Promise<DeviceRecord>): Promise<DeviceRecord> {
    const record = await changed;
    this.#changed();
    return record;
  }

  #changed(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  #warn(error: HildaError, message: string): void {
    this.#options.logger?.warn({ err: error, code: error.code }, message);
  }
}
