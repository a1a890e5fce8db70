import type { Summary } from '../core/measurement.js';
import { type Rng, randomInt } from '../core/rng.js';
import { normalTwoSided } from './student.js';

/** The middle value, or the mean of the two middle ones. Throws on an empty list, as everything here does. */
export function median(values: ArrayLike<number>): number {
  return medianOfSorted(ascending(values));
}

/** Linear interpolation between order statistics (type 7 of Hyndman and Fan, 1996). `q` in [0, 1]. */
export function quantile(values: ArrayLike<number>, q: number): number {
  const sorted = ascending(values);
  const at = q * (sorted.length - 1);
  const low = sorted[Math.floor(at)] as number;
  const high = sorted[Math.ceil(at)] as number;
  return low + (high - low) * (at - Math.floor(at));
}

/** Median absolute deviation from the median, not scaled to a standard deviation. */
function medianAbsoluteDeviation(values: ArrayLike<number>): number {
  const middle = median(values);
  return median(Float64Array.from(values, (value) => Math.abs(value - middle)));
}

/**
 * 95 % percentile-bootstrap interval of the median (Efron and Tibshirani, 1993, section 13.3). Distribution free:
 * latencies are skewed and come in regimes, so no normal theory applies.
 */
export function bootstrapMedianInterval(
  values: ArrayLike<number>,
  rng: Rng,
  resamples = 400,
): readonly [low: number, high: number] {
  const sorted = ascending(values);
  const n = sorted.length;
  const medians = new Float64Array(resamples);
  const counts = new Uint32Array(n);
  for (let b = 0; b < resamples; b++) {
    counts.fill(0);
    for (let i = 0; i < n; i++) {
      const drawn = randomInt(rng, n);
      counts[drawn] = (counts[drawn] as number) + 1;
    }
    medians[b] = medianByCounts(sorted, counts);
  }
  return [quantile(medians, 0.025), quantile(medians, 0.975)];
}

export function summarise(values: ArrayLike<number>, rng: Rng, resamples = 1000): Summary {
  const [ciLow, ciHigh] = bootstrapMedianInterval(values, rng, resamples);
  const sorted = ascending(values);
  return {
    n: sorted.length,
    min: sorted[0] as number,
    median: medianOfSorted(sorted),
    p90: quantile(sorted, 0.9),
    mad: medianAbsoluteDeviation(sorted),
    ciLow,
    ciHigh,
  };
}

/**
 * The interval of a summary at another level: each side keeps its shape and is stretched by the ratio of the normal
 * quantiles. `tail` is what the interval leaves out; 0.05 changes nothing.
 */
export function atTail(summary: Summary, tail: number): Summary {
  const stretch = normalTwoSided(tail) / normalTwoSided(0.05);
  const { ciLow, ciHigh, median: middle } = summary;
  return {
    ...summary,
    ciLow: middle / (1 + stretch * (middle / ciLow - 1)),
    ciHigh: middle * (1 + stretch * (ciHigh / middle - 1)),
  };
}

/** Half the width of the interval over the median: what stop rules and verdicts compare. */
export const relativeHalfWidth = ({ ciLow, ciHigh, median: middle }: Summary): number =>
  (ciHigh - ciLow) / 2 / middle;

function ascending(values: ArrayLike<number>): Float64Array {
  if (values.length === 0) throw new RangeError('no values');
  return Float64Array.from(values).sort();
}

function medianOfSorted(sorted: Float64Array): number {
  const half = sorted.length >> 1;
  const upper = sorted[half] as number;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] as number) + upper) / 2;
}

/** The median of the multiset that holds `sorted[i]` `counts[i]` times: spares sorting each resample. */
function medianByCounts(sorted: Float64Array, counts: Uint32Array): number {
  const n = sorted.length;
  const lowRank = (n - 1) >> 1;
  const highRank = n >> 1;
  let seen = 0;
  let low = Number.NaN;
  for (let i = 0; i < n; i++) {
    const before = seen;
    seen += counts[i] as number;
    if (before <= lowRank && lowRank < seen) low = sorted[i] as number;
    if (highRank < seen) return (low + (sorted[i] as number)) / 2;
  }
  throw new RangeError('counts do not add up');
}

/** Spearman's rank correlation: Pearson's of the ranks, ties sharing their mean rank. NaN where one side is constant. */
export function spearman(x: readonly number[], y: readonly number[]): number {
  if (x.length !== y.length || x.length < 2)
    throw new RangeError('spearman needs two lists of one length, two or more');
  const [a, b] = [ranks(x), ranks(y)];
  const mean = (x.length - 1) / 2;
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    const [da, db] = [(a[i] as number) - mean, (b[i] as number) - mean];
    ab += da * db;
    aa += da * da;
    bb += db * db;
  }
  return ab / Math.sqrt(aa * bb);
}

function ranks(values: readonly number[]): Float64Array {
  const order = values.map((_, i) => i).sort((i, j) => (values[i] as number) - (values[j] as number));
  const out = new Float64Array(values.length);
  for (let start = 0; start < order.length; ) {
    let end = start + 1;
    while (end < order.length && values[order[end] as number] === values[order[start] as number]) end++;
    for (let i = start; i < end; i++) out[order[i] as number] = (start + end - 1) / 2;
    start = end;
  }
  return out;
}
