import type { DeviceId } from '../../core/ids.js';
import type { Target } from '../../core/target.js';
import type { Device, Driver, Sighting } from '../contract.js';
import { FakeDevice, type FakeDeviceOptions, type FakeRates } from './device.js';

export interface FakeDriverOptions extends FakeDeviceOptions {
  /** Names of the devices to be seen; one, `fake-0`, by default. */
  readonly ids?: readonly string[];
  /** Rates of single devices, by id. */
  readonly ratesOf?: Readonly<Record<string, FakeRates>>;
}

const target: Target = {
  model: 'fake',
  clockHz: null,
  runtime: 'fake',
  runtimeVersion: '1',
  provider: 'fake',
  threads: 1,
  dtype: 'float32',
  tier: 'fake',
};

/** Devices that exist on paper: deterministic, fast, and as faulty as they are told to be. For tests and demonstrations. */
export class FakeDriver implements Driver {
  readonly kind = 'fake';
  readonly #options: FakeDriverOptions;

  constructor(options: FakeDriverOptions = {}) {
    this.#options = options;
  }

  async *discover(_options: { readonly signal: AbortSignal }): AsyncIterable<Sighting> {
    for (const id of this.#options.ids ?? ['fake-0']) {
      yield {
        id: id as DeviceId,
        kind: this.kind,
        label: `Fake device ${id}`,
        target,
        host: null,
        obstacle: null,
      };
    }
  }

  async open(sighting: Sighting, _options: { readonly signal: AbortSignal }): Promise<Device> {
    const rates = this.#options.ratesOf?.[sighting.id] ?? this.#options.rates;
    return new FakeDevice(sighting.target, { ...this.#options, ...(rates && { rates }) });
  }
}
