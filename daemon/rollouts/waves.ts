import type { DeviceId } from '../core/ids.js';
import { invalid } from './request.js';

/** One device, a tenth of them, the rest. */
const usual = [1, '10%'] as const;

/**
 * How many devices each wave has; together all of them. Shares are rounded up. Throws SPEC_INVALID for a wave of no device, and
 * for waves that hold more devices than there are.
 */
export function planWaves(asked: readonly (number | string)[] | undefined, devices: number): number[] {
  const sizes = (asked ?? usual).map((one) => {
    const size = typeof one === 'number' ? one : Math.ceil((devices * Number.parseFloat(one)) / 100 - 1e-9);
    if (size < 1) throw invalid(`a wave of ${one} has no device`);
    return size;
  });
  const shares = (asked ?? []).filter((one) => typeof one === 'string').map((one) => Number.parseFloat(one));
  const counts = (asked ?? []).filter((one) => typeof one === 'number');
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  if (sum(shares) > 100 + 1e-9) throw invalid(`the shares of the waves add up to ${sum(shares)} %`);
  if (sum(counts) > devices) throw invalid(`the waves hold ${sum(counts)} devices, ${devices} are selected`);
  const waves: number[] = [];
  let left = devices;
  for (const size of sizes) {
    // Rounded shares may take more than is left.
    const fits = Math.min(size, left);
    if (fits === 0) break;
    waves.push(fits);
    left -= fits;
  }
  if (left > 0) waves.push(left);
  return waves;
}

/** Devices in the order of their turns: the first of each target before the second of any, so that canaries are of many kinds. */
export function inTurn<D extends { readonly id: DeviceId }>(
  devices: readonly D[],
  targetOf: (device: D) => string,
): D[] {
  const seen = new Map<string, number>();
  return [...devices]
    .sort((a, b) => (a.id < b.id ? -1 : 1))
    .map((device) => {
      const key = targetOf(device);
      const turn = seen.get(key) ?? 0;
      seen.set(key, turn + 1);
      return { device, turn };
    })
    .sort((a, b) => a.turn - b.turn)
    .map(({ device }) => device);
}

/** The wave of each place. */
export const waveOfPlace = (waves: readonly number[]): number[] =>
  waves.flatMap((size, wave) => Array.from({ length: size }, () => wave));
