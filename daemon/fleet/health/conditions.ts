import type { Json } from '../../core/json.js';

/** What a device told about itself around a measurement; null where it did not. */
export interface Conditions {
  readonly celsius: number | null;
  /** Of its fastest core. */
  readonly clockHz: number | null;
}

type Facts = { readonly [key: string]: Json };

/**
 * Temperature and clock as a measurement's manifest holds them: after it where the device was read then, else before. Hosts tell
 * `temperatureMilliC` and `frequencyKhz`, NVIDIA GPUs `celsius` and `smClockMHz`, phones thermal zones and the clock of each core,
 * boards their clock.
 */
export function conditionsOf(manifest: Facts): Conditions {
  const states = [factsOf(manifest.after), factsOf(manifest.before)].filter((state) => state !== undefined);
  const first = (read: (state: Facts) => number | null): number | null => {
    for (const state of states) {
      const value = read(state);
      if (value !== null) return value;
    }
    return null;
  };
  return { celsius: first(celsiusOf), clockHz: first(clockOf) ?? numberOf(manifest.clockHz) };
}

function celsiusOf(state: Facts): number | null {
  const gpu = factsOf(state.gpu);
  // A GPU's own sensor says more of it than its host's.
  if (gpu && numberOf(gpu.celsius) !== null) return numberOf(gpu.celsius);
  const milli = numberOf(state.temperatureMilliC);
  if (milli !== null) return milli / 1000;
  const zones = listOf(state.zones).flatMap((zone) => numberOf(factsOf(zone)?.celsius) ?? []);
  return zones.length > 0 ? Math.max(...zones) : numberOf(state.batteryCelsius);
}

function clockOf(state: Facts): number | null {
  const gpu = factsOf(state.gpu);
  const megahertz = gpu ? numberOf(gpu.smClockMHz) : null;
  if (megahertz !== null) return megahertz * 1e6;
  const kilohertz = numberOf(state.frequencyKhz);
  if (kilohertz !== null) return kilohertz * 1000;
  const cores = listOf(state.coreKhz).flatMap((core) => numberOf(core) ?? []);
  return cores.length > 0 ? Math.max(...cores) * 1000 : null;
}

const factsOf = (value: Json | undefined): Facts | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Facts) : undefined;
const listOf = (value: Json | undefined): readonly Json[] => (Array.isArray(value) ? value : []);
const numberOf = (value: Json | undefined): number | null =>
  typeof value === 'number' && Number.isFinite(value) ? value : null;
