import type { DeviceId } from '../core/ids.js';
import type { DevicePool } from '../fleet/device-pool.js';
import type { Entry } from './entry.js';
import type { Choice } from './job-turns.js';
import { Schedule } from './schedule.js';
import { Stations } from './stations.js';

export interface DispatcherOptions {
  readonly pool: Pick<DevicePool, 'presence'>;
  /** Serves a station that is free and for which a job waits. The station is free again once it resolves. */
  readonly serve: (station: string) => Promise<void>;
}

/** Brings free stations and jobs that wait together. */
export class Dispatcher {
  readonly schedule: Schedule;
  readonly stations = new Stations();
  readonly #options: DispatcherOptions;
  readonly #serving = new Set<Promise<void>>();
  readonly #awake = new Set<string>();
  #kicked = false;
  #stopped = false;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    const { pool } = options;
    this.schedule = new Schedule({ isPresent: (id) => pool.presence(id).present });
  }

  get isServing(): boolean {
    return this.#serving.size > 0;
  }

  /** Begins nothing more; resolves when what runs has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    while (this.isServing) await Promise.all(this.#serving);
  }

  /** Puts a job in line. */
  add(entry: Entry): void {
    this.schedule.add(entry);
    if (entry.named) for (const id of entry.named) this.wake(id);
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

  /** Takes the station's next job out of line. */
  pick(station: string): Choice | undefined {
    const best = this.#stopped ? undefined : this.#best(station);
    if (!best) return undefined;
    this.schedule.remove(best.entry);
    this.schedule.begin(best.entry);
    return best;
  }

  #best(station: string): Choice | undefined {
    const { pool } = this.#options;
    const devices = this.stations.devices(station);
    return this.schedule.best(
      devices.map((record) => ({ record, present: pool.presence(record.id).present })),
    );
  }

  #wakeStation(key: string): void {
    this.#awake.add(key);
    if (this.#kicked || this.#stopped) return;
    this.#kicked = true;
    queueMicrotask(() => {
      this.#kicked = false;
      const keys = [...this.#awake];
      this.#awake.clear();
      for (const one of keys) this.#dispatch(one);
    });
  }

  #dispatch(station: string): void {
    if (this.#stopped || this.stations.isBusy(station) || !this.#best(station)) return;
    this.stations.take(station);
    const serving = this.#options.serve(station).finally(() => {
      this.#serving.delete(serving);
      this.stations.free(station);
      this.#wakeStation(station);
    });
    this.#serving.add(serving);
  }
}
