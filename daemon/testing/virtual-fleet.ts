import { gaussian, Xoshiro128 } from '../core/rng.js';
import { type FakeRates, fakeRates } from '../devices/fake/device.js';
import { FakeDriver, type FakeDriverOptions } from '../devices/fake/driver.js';

export interface VirtualFleetOptions extends Omit<FakeDriverOptions, 'ids' | 'rates' | 'ratesOf'> {
  /** Standard deviation of the logarithm of a device's speed; 0 by default: all are equal. */
  readonly spread?: number;
}

/** So many devices on paper, `fake-0`, `fake-1` and so on: a fleet without hardware, the same for the same seed. */
export function virtualFleet(
  count: number,
  { spread = 0, seed = 1, ...options }: VirtualFleetOptions = {},
): FakeDriver {
  if (!Number.isInteger(count) || count < 1) throw new RangeError(`a fleet of ${count} devices`);
  const rng = Xoshiro128.fromSeed(seed);
  const ids = Array.from({ length: count }, (_, i) => `fake-${i}`);
  const rates = ids.map((): FakeRates => {
    const speed = Math.exp(spread * gaussian(rng));
    const { macsPerUs, bytesPerUs, operatorUs } = fakeRates;
    return {
      macsPerUs: macsPerUs * speed,
      bytesPerUs: bytesPerUs * speed,
      operatorUs: operatorUs / speed,
    };
  });
  return new FakeDriver({
    ...options,
    seed,
    ids,
    ...(spread > 0 && { ratesOf: Object.fromEntries(ids.map((id, i) => [id, rates[i] as FakeRates])) }),
  });
}
