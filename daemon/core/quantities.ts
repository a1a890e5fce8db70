import type { Interval } from './intervals.js';

/** How quantities read, on the command line and on the page; JSON keeps the plain numbers. */

export const formatLatency = (us: number): string =>
  us < 1000 ? `${us.toPrecision(3)} us` : `${(us / 1000).toPrecision(4)} ms`;

export function formatInterval([low, high]: readonly [number, number]): string {
  return `${formatLatency(low)} to ${formatLatency(high)}`;
}

export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  const power = Math.min(units.length - 1, bytes < 1 ? 0 : Math.floor(Math.log2(bytes) / 10));
  return `${power === 0 ? bytes : (bytes / 1024 ** power).toFixed(1)} ${units[power]}`;
}

export function formatCount(count: number): string {
  if (count < 1000) return String(count);
  return count < 1e6 ? `${(count / 1e3).toFixed(1)} k` : `${(count / 1e6).toFixed(2)} M`;
}

export function formatDuration(ms: number | null): string {
  if (ms === null) return 'unknown';
  const s = Math.round(ms / 1000);
  if (s < 60) return `${s} s`;
  return s < 3600
    ? `${Math.floor(s / 60)} min ${s % 60} s`
    : `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
}

/**
 * Decimals that a number deserves whose 95 % interval is this long: two digits of the half-width where they begin with 1, 2 or
 * 3, else one (after the Particle Data Group's rule for errors, Review of Particle Physics, section 5.3).
 */
function decimalsOf([low, high]: Interval): number {
  const half = (high - low) / 2;
  if (!(half > 0)) return 2;
  const power = Math.floor(Math.log10(half));
  const digits = half / 10 ** power < 3.55 ? 2 : 1;
  return Math.min(4, Math.max(0, digits - 1 - power));
}

const inPercent = ([low, high]: Interval): Interval => [100 * low, 100 * high];

/** An interval of shares in percent, e.g. `91.8 to 94.1`. */
export function formatShareInterval(ci: Interval): string {
  const [low, high] = inPercent(ci);
  const decimals = decimalsOf([low, high]);
  return `${low.toFixed(decimals)} to ${high.toFixed(decimals)}`;
}

/** A metric's value by what its name says of the unit; accuracies with as many digits as their interval allows. */
export function formatMetric(metric: string, value: number | undefined, ci?: Interval | null): string {
  if (value === undefined) return '-';
  if (/^[a-z]*latencyUs/i.test(metric)) return formatLatency(value);
  if (/bytes/i.test(metric)) return formatBytes(value);
  if (/accuracy/i.test(metric)) return `${(value * 100).toFixed(ci ? decimalsOf(inPercent(ci)) : 2)} %`;
  return Number.isInteger(value) ? formatCount(value) : value.toPrecision(4);
}
