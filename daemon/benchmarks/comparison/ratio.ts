import {
  type CostMetric,
  costIntervals,
  costsOf,
  isExact,
  type Measurement,
} from '../../core/measurement.js';
import { withinOf } from '../../measure/sessions.js';
import { studentTwoSided } from '../../measure/student.js';

export type Taken = Omit<Measurement, 'rounds'>;

/** The cost of a network on a device, over one or more measurements, on the logarithmic scale. */
export interface Estimate {
  /** The cost itself. */
  readonly value: number;
  readonly log: number;
  /** A 1.96th of half the 95 % interval of `log`, within and between sessions; 0 for what is counted exactly. */
  readonly error: number;
  readonly freedom: number;
  readonly exact: boolean;
}

/** `same`: the whole interval lies within the tolerance. `unclear`: the interval does not decide. */
export const ratioVerdicts = ['better', 'same', 'worse', 'unclear'] as const;
export type RatioVerdict = (typeof ratioVerdicts)[number];

export interface Ratio {
  /** The new cost over the old one. */
  readonly ratio: number;
  /** At 1 less `tail`. */
  readonly interval: readonly [low: number, high: number];
  readonly exact: boolean;
  readonly verdict: RatioVerdict;
}

/**
 * Null where a measurement lacks the metric. A measurement's interval holds the spread within and between sessions, so the mean
 * of several is as much surer; where they scatter more than that, their scatter counts.
 */
export function estimateOf(measurements: readonly Taken[], metric: CostMetric): Estimate | null {
  const values = measurements.map((one) => costsOf(one as Measurement)[metric]);
  const [first] = measurements;
  if (!first || values.some((value) => value === undefined || !(value > 0))) return null;
  const logs = (values as number[]).map(Math.log);
  const log = mean(logs);
  if (isExact(metric, first.provenance) && logs.every((one) => one === logs[0]))
    return { value: values[0] as number, log, error: 0, freedom: Number.POSITIVE_INFINITY, exact: true };
  const value = Math.exp(log);
  const told = Math.sqrt(mean(measurements.map((one) => errorOf(one, metric) ** 2)) / logs.length);
  const own = logs.length - 1;
  const seen = own === 0 ? 0 : Math.sqrt(squaresOf(logs) / own / logs.length);
  const scattered = own === 0 ? 0 : (seen * studentTwoSided(0.05, own)) / 1.96;
  if (scattered > told) return { value, log, error: scattered, freedom: own, exact: false };
  const freedom = Math.min(...measurements.map(({ latency }) => latency?.spread?.freedom ?? 1e9));
  return { value, log, error: told, freedom, exact: false };
}

function squaresOf(values: readonly number[]): number {
  const middle = mean(values);
  return values.reduce((sum, value) => sum + (value - middle) ** 2, 0);
}

const errorOf = (one: Taken, metric: CostMetric): number => {
  const interval = costIntervals(one as Measurement)[metric];
  const error = interval ? withinOf(interval) : 0;
  return Number.isFinite(error) ? error : 0;
};

/** `tail`: what the interval leaves out on both sides together, 0.05 for 95 %. */
export function ratioOf(
  before: Estimate,
  now: Estimate,
  { tail, tolerance }: { readonly tail: number; readonly tolerance: number },
): Ratio {
  const difference = now.log - before.log;
  const exact = before.exact && now.exact;
  // The errors stand for 95 % intervals, which hold the t of their freedom already.
  const half = Math.hypot(
    ...[before, now].map(({ error, freedom }) => 1.96 * error * widening(tail, Math.max(1, freedom))),
  );
  return judged(difference, half, exact, tolerance);
}

const widening = (tail: number, freedom: number): number =>
  studentTwoSided(tail, freedom) / studentTwoSided(0.05, freedom);

/**
 * Two networks measured in turn: what the pairs' own differences say, so that any drift slower than a pair cancels.
 * Null with fewer than three pairs, unless all agree exactly.
 */
export function pairedRatio(
  pairs: readonly (readonly [Taken, Taken])[],
  metric: CostMetric,
  { tail, tolerance }: { readonly tail: number; readonly tolerance: number },
): Ratio | null {
  const logs: number[] = [];
  for (const pair of pairs) {
    const [a, b] = pair.map((one) => costsOf(one as Measurement)[metric]);
    if (a === undefined || b === undefined || !(a > 0) || !(b > 0)) return null;
    logs.push(Math.log(b / a));
  }
  const [first] = pairs;
  if (!first) return null;
  const difference = mean(logs);
  const exact = isExact(metric, first[0].provenance) && logs.every((one) => one === logs[0]);
  if (exact) return judged(difference, 0, true, tolerance);
  if (logs.length < 3) return null;
  const variance = squaresOf(logs) / (logs.length - 1);
  const half = studentTwoSided(tail, logs.length - 1) * Math.sqrt(variance / logs.length);
  return judged(difference, half, false, tolerance);
}

/** `difference` and `half`: of the logarithm. */
function judged(difference: number, half: number, exact: boolean, tolerance: number): Ratio {
  const [low, high] = [difference - half, difference + half];
  const bound = Math.log1p(tolerance);
  // A rounding error is no change.
  const slack = 1e-9;
  const verdict: RatioVerdict =
    low >= -bound - slack && high <= bound + slack
      ? 'same'
      : low > 0 && difference > bound
        ? 'worse'
        : high < 0 && difference < -bound
          ? 'better'
          : 'unclear';
  return { ratio: Math.exp(difference), interval: [Math.exp(low), Math.exp(high)], exact, verdict };
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
