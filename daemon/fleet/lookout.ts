import { asHildaError, HildaError } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import { targetKey } from '../core/target.js';
import type { Driver, Sighting } from '../devices/contract.js';
import type { DeviceRecord, Store } from '../store/contract.js';

/** A recorded device with what stands in the way of using it now. */
export type SeenDevice = DeviceRecord & Pick<Sighting, 'obstacle'>;

export interface Seen {
  readonly driver: Driver;
  readonly sighting: Sighting;
}

export interface Presence {
  readonly present: boolean;
  /** Null where nothing is known to stand in the way. */
  readonly obstacle: string | null;
}

export interface LookoutOptions {
  readonly store: Store;
  readonly drivers: readonly Driver[];
  readonly warn: (error: HildaError, message: string) => void;
  /** Hears of each look that found a device that was not there before, or is another target or on another host now. */
  readonly onSeen?: () => void;
  /** Hears of each device that was there and no longer is. */
  readonly onGone?: (id: DeviceId) => void;
}

/** Knows which devices are there now: looks when asked, and whenever a driver says that something changed. */
export class Lookout {
  readonly #options: LookoutOptions;
  readonly #seen = new Map<DeviceId, Seen>();
  readonly #looking = new Map<Driver, Promise<SeenDevice[]>>();

  constructor(options: LookoutOptions) {
    this.#options = options;
  }

  /** Follows the drivers that can tell of changes, until the signal aborts. */
  watch(signal: AbortSignal): void {
    for (const driver of this.#options.drivers) {
      const look = (): void =>
        void this.#look(driver, signal).catch((thrown: unknown) => this.#trouble(thrown, driver, signal));
      driver
        .watch?.({ signal, onChange: look })
        .catch((thrown: unknown) => this.#trouble(thrown, driver, signal));
    }
  }

  /** Looks at every driver once and records what it sees. A driver that fails does not hide the others' devices. */
  async look(signal: AbortSignal): Promise<SeenDevice[]> {
    const found: SeenDevice[] = [];
    for (const driver of this.#options.drivers) {
      try {
        found.push(...(await this.#look(driver, signal)));
      } catch (thrown) {
        signal.throwIfAborted();
        const error = asHildaError(thrown);
        if (storeFaults.has(error.code)) throw error;
        this.#trouble(error, driver, signal);
      }
    }
    return found;
  }

  presence(id: DeviceId): Presence {
    const seen = this.#seen.get(id);
    return { present: seen !== undefined, obstacle: seen?.sighting.obstacle ?? null };
  }

  /** A device known from an earlier run of the daemon is looked for first. Throws DEVICE_GONE, DEVICE_FAILED. */
  async usable(id: DeviceId, signal: AbortSignal): Promise<Seen> {
    if (!this.#seen.has(id)) await this.look(signal);
    const seen = this.#seen.get(id);
    if (!seen) throw new HildaError('DEVICE_GONE', `the device ${id} is not there now`);
    if (seen.sighting.obstacle !== null) {
      throw new HildaError('DEVICE_FAILED', `the device ${id} cannot be used`, {
        hint: seen.sighting.obstacle,
        details: { unopened: 'obstacle' },
      });
    }
    return seen;
  }

  /** One look at a time a driver; callers meanwhile wait for their turn, so that it sees what is true then. */
  #look(driver: Driver, signal: AbortSignal): Promise<SeenDevice[]> {
    const before = this.#looking.get(driver) ?? Promise.resolve();
    const look = before.then(
      () => this.#lookNow(driver, signal),
      () => this.#lookNow(driver, signal),
    );
    this.#looking.set(driver, look);
    return look;
  }

  async #lookNow(driver: Driver, signal: AbortSignal): Promise<SeenDevice[]> {
    const { store } = this.#options;
    const found = new Map<DeviceId, SeenDevice>();
    const presences: Json[] = [];
    let isNews = false;
    const sightings = new Map<DeviceId, Sighting>();
    for await (const sighting of driver.discover({ signal })) sightings.set(sighting.id, sighting);
    const records = await store.upsertDevices(
      [...sightings.values()].map(({ id, kind, label, target, host }) => ({ id, kind, label, target, host })),
    );
    for (const recorded of records) {
      const { id } = recorded;
      const sighting = sightings.get(id) as Sighting;
      const { target, host, obstacle, invited = false } = sighting;
      const known = this.#seen.get(id);
      const isInvited = invited && recorded.state === 'sighted';
      const record = isInvited ? await store.setDeviceState(id, 'adopted') : recorded;
      this.#seen.set(id, { driver, sighting });
      found.set(id, { ...record, obstacle });
      // Jobs choose devices by target and host: what changed counts from now on.
      isNews ||=
        !known || known.sighting.host !== host || targetKey(known.sighting.target) !== targetKey(target);
      if (!known || known.sighting.obstacle !== obstacle)
        presences.push({ type: 'presence', deviceId: id, present: true, obstacle });
    }
    const gone: DeviceId[] = [];
    for (const [id, seen] of this.#seen) {
      if (seen.driver !== driver || found.has(id)) continue;
      this.#seen.delete(id);
      presences.push({ type: 'presence', deviceId: id, present: false, obstacle: null });
      gone.push(id);
    }
    if (presences.length > 0) await store.publishAll(presences.map((data) => ({ topic: 'devices', data })));
    for (const id of gone) this.#options.onGone?.(id);
    if (isNews) this.#options.onSeen?.();
    return [...found.values()];
  }

  #trouble(thrown: unknown, driver: Driver, signal: AbortSignal): void {
    if (!signal.aborted)
      this.#options.warn(asHildaError(thrown), `driver ${driver.kind} could not look for devices`);
  }
}

const storeFaults: ReadonlySet<string> = new Set(['DISK_FULL', 'DISK_FAILED', 'STORE_CORRUPT', 'STORE_BUSY']);
