import { HildaError } from '../../core/errors.js';
import type { DeviceId } from '../../core/ids.js';
import type { Device, Driver, Sighting } from '../contract.js';
import { VirtualDevice, type VirtualDeviceOptions } from './device.js';
import { goneError, VirtualUnit, type VirtualUnitOptions } from './unit.js';

export interface VirtualDriverOptions extends VirtualDeviceOptions {
  readonly units: readonly VirtualUnitOptions[];
}

/**
 * Devices that exist as a model alone: they come and go, hang, move and change their firmware as they are told to, by the injected
 * clock. Their target has the tier `virtual`, and their figures are `emulated`: nothing takes them for measured ones.
 */
export class VirtualDriver implements Driver {
  readonly kind = 'virtual';
  readonly #options: VirtualDriverOptions;
  readonly #units: ReadonlyMap<DeviceId, VirtualUnit>;

  /** Throws RangeError where two units have one id. */
  constructor(options: VirtualDriverOptions) {
    this.#options = options;
    this.#units = new Map(options.units.map((one) => [one.id as DeviceId, new VirtualUnit(one)]));
    if (this.#units.size < options.units.length) throw new RangeError('two virtual devices have one id');
  }

  async *discover({ signal }: { readonly signal: AbortSignal }): AsyncIterable<Sighting> {
    const nowMs = this.#options.clock.nowMs();
    for (const unit of this.#units.values()) {
      signal.throwIfAborted();
      if (!unit.at(nowMs).isPresent) continue;
      yield {
        id: unit.id,
        kind: this.kind,
        label: unit.label,
        target: unit.targetAt(nowMs),
        host: null,
        obstacle: null,
      };
    }
  }

  async open({ id }: Sighting, { signal }: { readonly signal: AbortSignal }): Promise<Device> {
    signal.throwIfAborted();
    const { clock, timeoutMs = 60_000 } = this.#options;
    const unit = this.#units.get(id);
    const nowMs = clock.nowMs();
    if (!unit?.at(nowMs).isPresent) throw goneError(id, 'is not there');
    if (unit.disturbanceWithin(nowMs, nowMs)?.kind !== 'hang') return new VirtualDevice(unit, this.#options);
    await clock.sleep(timeoutMs, { signal });
    throw new HildaError('DEVICE_FAILED', `the virtual device ${id} did not answer for ${timeoutMs} ms`);
  }

  async watch({
    signal,
    onChange,
  }: {
    readonly signal: AbortSignal;
    readonly onChange: () => void;
  }): Promise<void> {
    const { clock } = this.#options;
    const changes = this.#changes(clock.nowMs());
    for (const atMs of changes) {
      const waitMs = atMs - clock.nowMs();
      if (waitMs > 0) await clock.sleep(waitMs, { signal }).catch(() => {});
      if (signal.aborted) return;
      onChange();
    }
  }

  /** All moments after this one at which a device comes, leaves or changes, each once, in order. */
  #changes(afterMs: number): number[] {
    const moments = new Set<number>();
    for (const unit of this.#units.values())
      for (let at = unit.nextChange(afterMs); at !== undefined; at = unit.nextChange(at)) moments.add(at);
    return [...moments].sort((a, b) => a - b);
  }
}
