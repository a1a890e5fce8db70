import { microjoulesIn } from './cells.js';

/** What a column of a table of figures holds, told by its header. Times in microseconds a unit, energy in microjoules a unit. */
export type Column =
  | { readonly kind: 'latency'; readonly usPerUnit: number | null }
  | { readonly kind: 'low' | 'high' | 'half'; readonly usPerUnit: number | null }
  | { readonly kind: 'energy'; readonly ujPerUnit: number | null }
  | { readonly kind: 'accuracy'; readonly percent: boolean }
  | { readonly kind: (typeof plainKinds)[number] };

const plainKinds = [
  'network',
  'device',
  'organisation',
  'runtime',
  'precision',
  'date',
  'throughput',
  'energyUnit',
  'auc',
  'ignored',
] as const;

const microsecondsIn: ReadonlyMap<string, number> = new Map([
  ...['ns', 'nsec', 'nanoseconds'].map((name) => [name, 1e-3] as const),
  ...['us', 'μs', 'usec', 'microseconds'].map((name) => [name, 1] as const),
  ...['ms', 'msec', 'milliseconds'].map((name) => [name, 1e3] as const),
  ...['s', 'sec', 'seconds'].map((name) => [name, 1e6] as const),
]);

const names: Readonly<Record<string, (typeof plainKinds)[number]>> = {
  network: 'network',
  model: 'network',
  benchmark: 'network',
  task: 'network',
  device: 'device',
  system: 'device',
  board: 'device',
  org: 'organisation',
  organisation: 'organisation',
  organization: 'organisation',
  submitter: 'organisation',
  runtime: 'runtime',
  framework: 'runtime',
  precision: 'precision',
  dtype: 'precision',
  date: 'date',
  throughput_inf_s: 'throughput',
  throughput_inf_sec: 'throughput',
  throughput_inferences_s: 'throughput',
  inferences_per_second: 'throughput',
  energy_unit: 'energyUnit',
  auc: 'auc',
  // Columns of summaries of MLPerf Tiny that say nothing of a figure.
  round: 'ignored',
  division: 'ignored',
  availability: 'ignored',
  processor: 'ignored',
  frequency: 'ignored',
};

const sides: Readonly<Record<string, 'low' | 'high' | 'half'>> = {
  low: 'low',
  lower: 'low',
  ci_low: 'low',
  high: 'high',
  upper: 'high',
  ci_high: 'high',
  plus_minus: 'half',
};

/** Undefined for a header that nothing is known of. */
export function columnOf(header: string): Column | undefined {
  const name = normalised(header);
  if (Object.hasOwn(names, name)) return { kind: names[name] as (typeof plainKinds)[number] };
  if (name === 'accuracy' || name === 'accuracy_percent')
    return { kind: 'accuracy', percent: name !== 'accuracy' };
  const words = name.split('_');
  return words.includes('energy') ? energyOf(words) : timeOf(words);
}

function energyOf(words: readonly string[]): Column | undefined {
  const units = words.filter((word) => microjoulesIn.has(word));
  const others = words.filter((word) => !microjoulesIn.has(word)).join('_');
  if (units.length > 1 || !/^energy(_median)?(_per)?(_inference|_inf)?$|^median_energy$/.test(others)) return;
  return { kind: 'energy', ujPerUnit: microjoulesIn.get(units[0] ?? '') ?? null };
}

function timeOf(words: readonly string[]): Column | undefined {
  const units = words.filter((word) => microsecondsIn.has(word));
  if (units.length > 1) return;
  const usPerUnit = microsecondsIn.get(units[0] ?? '') ?? null;
  const others = words.filter((word) => !microsecondsIn.has(word));
  const side = others.filter((word) => word !== 'latency').join('_');
  if (Object.hasOwn(sides, side)) return { kind: sides[side] as 'low' | 'high' | 'half', usPerUnit };
  return /^(median_|mean_)?latency(_median|_mean)?$/.test(others.join('_'))
    ? { kind: 'latency', usPerUnit }
    : undefined;
}

/** `latencyUs`, `Latency (µs)` and `latency_us` are one name. */
const normalised = (header: string): string =>
  header
    .normalize('NFKC')
    .replace(/(?<![A-Za-z])([unmμ])J(?![A-Za-z])/g, '$1j')
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .replaceAll('%', '_percent')
    .replaceAll('±', '_plus_minus')
    .replace(/[^a-z0-9μ]+/g, '_')
    .replace(/^_|_$/g, '');
