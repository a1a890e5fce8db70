import { studentTwoSided } from '../../measure/student.js';
import { medianOf } from '../../predict/statistics.js';

/** Where a value lies to the limits that the values before it taught; `learning`: there were too few. */
export type Standing = 'inside' | 'outside' | 'learning';

/** Limits of one quantity of one device, in its own unit. */
export interface Limits {
  readonly centre: number;
  readonly low: number;
  readonly high: number;
  /** Values that they are learnt from. */
  readonly learntFrom: number;
}

export interface ControlChart {
  /** Of each value, against the limits before it. */
  readonly standings: readonly Standing[];
  /** For the next value; null while there are too few. */
  readonly limits: Limits | null;
  /** Of values of an undisturbed device, the share that lies outside. */
  readonly falseAlarmRate: number;
}

/** One value in 370: that of three standard deviations of a normal quantity whose mean and deviation are known. */
const falseAlarmRate = 0.0027;
/** With fewer values no limits are drawn. */
const least = 12;
/** The newest values inside the limits that teach the next ones. */
const most = 60;
/** No reading is better than 0.1 %; counts of emulators change by two thousandths and more where they change. */
const leastScale = 7e-4;
/** Degrees of freedom that a median absolute deviation of n values has, over n - 1: its efficiency against the standard deviation. */
const madEfficiency = 0.37;

/**
 * A control chart of single values on the logarithmic scale (Shewhart, 1931). Centre and scale are the median and the
 * median absolute deviation of the newest values inside the limits, so that a broken device does not teach what is
 * usual. The limits are a Student's t prediction interval with the degrees of freedom of that scale.
 */
export function controlChart(values: readonly number[]): ControlChart {
  const taught: number[] = [];
  const standings: Standing[] = [];
  for (const value of values) {
    const limits = limitsOf(taught);
    const inside = limits === null || (value >= limits.low && value <= limits.high);
    standings.push(limits === null ? 'learning' : inside ? 'inside' : 'outside');
    if (!inside) continue;
    taught.push(Math.log(value));
    if (taught.length > most) taught.shift();
  }
  return { standings, limits: limitsOf(taught), falseAlarmRate };
}

function limitsOf(logs: readonly number[]): Limits | null {
  const n = logs.length;
  if (n < least) return null;
  const centre = medianOf(Float64Array.from(logs));
  const mad = medianOf(Float64Array.from(logs, (log) => Math.abs(log - centre)));
  const scale = Math.max(leastScale, 1.4826 * mad * smallSample(n));
  const t = studentTwoSided(falseAlarmRate, Math.max(1, madEfficiency * (n - 1)));
  // The median of n values has pi / 2 times the variance of their mean.
  const half = t * scale * Math.sqrt(1 + Math.PI / 2 / n);
  return {
    centre: Math.exp(centre),
    low: Math.exp(centre - half),
    high: Math.exp(centre + half),
    learntFrom: n,
  };
}

/** A median absolute deviation of few values is too small (Croux and Rousseeuw, 1992, "Time-efficient algorithms", equation 10). */
const smallSample = (n: number): number => n / (n - 0.8);
