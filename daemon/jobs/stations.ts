import type { DeviceId } from '../core/ids.js';
import type { DeviceRecord } from '../store/contract.js';

/**
 * What runs one job at a time: a device, or the devices that share a host's processors (`Sighting.host`). Side by side
 * those would void each other's times.
 */
export class Stations {
  readonly #records = new Map<DeviceId, DeviceRecord>();
  readonly #devices = new Map<string, DeviceRecord[]>();
  readonly #busy = new Set<string>();

  /** Replaces what is known. */
  know(records: readonly DeviceRecord[]): void {
    this.#records.clear();
    this.#devices.clear();
    for (const record of records) {
      this.#records.set(record.id, record);
      const key = keyOf(record);
      const others = this.#devices.get(key);
      if (others) others.push(record);
      else this.#devices.set(key, [record]);
    }
  }

  record(id: DeviceId): DeviceRecord | undefined {
    return this.#records.get(id);
  }

  all(): DeviceRecord[] {
    return [...this.#records.values()];
  }

  /** Undefined for a device that is not known. */
  keyOf(id: DeviceId): string | undefined {
    const record = this.#records.get(id);
    return record && keyOf(record);
  }

  keys(): IterableIterator<string> {
    return this.#devices.keys();
  }

  devices(key: string): readonly DeviceRecord[] {
    return this.#devices.get(key) ?? [];
  }

  isBusy(key: string): boolean {
    return this.#busy.has(key);
  }

  take(key: string): void {
    this.#busy.add(key);
  }

  free(key: string): void {
    this.#busy.delete(key);
  }
}

const keyOf = ({ id, host }: DeviceRecord): string => (host === null ? `device ${id}` : `host ${host}`);
