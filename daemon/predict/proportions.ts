import { type Estimate, type Interval, sumInterval } from '../core/intervals.js';

/** Of the standard normal distribution, two-sided 95 %. */
const z = 1.959963984540054;

/**
 * Exact 95 % interval of a proportion (Clopper and Pearson, 1934, Biometrika 26:404): its coverage is never below 95 %,
 * for every proportion and any number of trials. `right` need not be whole, since programs print rounded shares.
 * Throws RangeError unless 0 <= right <= n and n > 0.
 */
export function proportionInterval(right: number, n: number): Interval {
  if (!(n > 0 && right >= 0 && right <= n)) throw new RangeError(`${right} of ${n} is no proportion`);
  return [
    right === 0 ? 0 : betaQuantile(0.025, right, n - right + 1),
    right === n ? 1 : betaQuantile(0.975, right + 1, n - right),
  ];
}

/** Mean and variance of values within [-1, 1] to which +1 and -1 were added once each, and how many they are then. */
interface Adjusted {
  readonly mean: number;
  readonly errorSquared: number;
}

/**
 * Bonett and Price (2012, British Journal of Mathematical and Statistical Psychology 65:479) add one image to either kind
 * of disagreement before they take Wald's interval of paired proportions: that is, +1 and -1 to the differences.
 */
function adjusted(differences: ArrayLike<number>): Adjusted {
  const n = differences.length + 2;
  let [sum, squares] = [0, 2];
  for (let i = 0; i < differences.length; i++) {
    sum += differences[i] as number;
    squares += (differences[i] as number) ** 2;
  }
  const mean = sum / n;
  return { mean, errorSquared: (squares / n - mean ** 2) / n };
}

/** 95 % interval around the summed means of independent samples of differences; the mean of none is 0. */
function interval(value: number, parts: readonly Adjusted[]): Interval {
  const centre = parts.reduce((sum, { mean }) => sum + mean, 0);
  const half = z * Math.sqrt(parts.reduce((sum, { errorSquared }) => sum + errorSquared, 0));
  return [Math.max(-1, Math.min(value, centre - half)), Math.min(1, Math.max(value, centre + half))];
}

/** Which images a network got right, 1 or 0 each. */
export interface ScoredAnswers {
  /** The float network, on all images. */
  readonly float: ArrayLike<number>;
  /** The network that a device runs in its place, on the first of them; absent where it runs the float one. */
  readonly own?: ArrayLike<number> | undefined;
}

/**
 * Accuracy with its 95 % interval. Where a device runs a network of its own: the float network's on all images, plus what
 * the other one changes on the first of them (difference estimator: Cochran, 1977, section 7.2). The two errors are taken
 * as independent; their covariance is negative, since only what was right can be lost, so the interval is a little wide.
 */
export function accuracyOf({ float, own }: ScoredAnswers): Estimate {
  const counted = !own || own.length === float.length ? (own ?? float) : undefined;
  if (counted) return { value: meanOf(counted), ci: proportionInterval(sumOf(counted), counted.length) };
  const base = { value: meanOf(float), ci: proportionInterval(sumOf(float), float.length) };
  const changes = changesOf({ float, own });
  const change = { value: meanOf(changes), ci: interval(meanOf(changes), [adjusted(changes)]) };
  const [low, high] = sumInterval(base, change);
  const value = within(base.value + change.value);
  return { value, ci: [Math.min(value, within(low)), Math.max(value, within(high))] };
}

/**
 * Accuracy of `a` less that of `b` on the same images, with its 95 % interval: image by image, so that what is hard for both
 * does not count as noise. `own` parts must be of equally many images. Throws RangeError where the images cannot be the same.
 */
export function accuracyDifference(a: ScoredAnswers, b: ScoredAnswers): Estimate {
  const own = a.own?.length ?? b.own?.length ?? 0;
  const all = a.float.length;
  if (
    all !== b.float.length ||
    (a.own ?? b.own)?.length !== (b.own ?? a.own)?.length ||
    own > all ||
    all === 0
  )
    throw new RangeError('answers to different images');
  if (own === all) {
    const direct = differences(a.own ?? a.float, b.own ?? b.float, all);
    return { value: meanOf(direct), ci: interval(meanOf(direct), [adjusted(direct)]) };
  }
  const floats = differences(a.float, b.float, all);
  if (own === 0) return { value: meanOf(floats), ci: interval(meanOf(floats), [adjusted(floats)]) };
  const [changesA, changesB] = [changesOf(a, own), changesOf(b, own)];
  const changes = differences(changesA, changesB, own);
  // Of the accuracies as they are shown, which do not leave 0 to 1.
  const value = within(meanOf(a.float) + meanOf(changesA)) - within(meanOf(b.float) + meanOf(changesB));
  return { value, ci: interval(value, [adjusted(floats), adjusted(changes)]) };
}

/** What a device's network changes, image by image: 1 gained, -1 lost. */
const changesOf = ({ float, own }: ScoredAnswers, count = own?.length ?? 0): Float64Array =>
  own ? differences(own, float, count) : new Float64Array(count);

const differences = (a: ArrayLike<number>, b: ArrayLike<number>, count: number): Float64Array =>
  Float64Array.from({ length: count }, (_, i) => (a[i] as number) - (b[i] as number));

function sumOf(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i] as number;
  return sum;
}

const meanOf = (values: ArrayLike<number>): number => sumOf(values) / values.length;
const within = (share: number): number => Math.min(1, Math.max(0, share));

/** Where the beta distribution's cumulative probability is `share`, by bisection. */
function betaQuantile(share: number, a: number, b: number): number {
  let [low, high] = [0, 1];
  for (let step = 0; step < 60; step++) {
    const middle = (low + high) / 2;
    if (incompleteBeta(middle, a, b) < share) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** The regularised incomplete beta function by its continued fraction (DLMF 8.17.22). */
function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0 || x >= 1) return x <= 0 ? 0 : 1;
  // The fraction converges fast on the near side of the mean only.
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a);
  const front = Math.exp(
    a * Math.log(x) + b * Math.log1p(-x) + logGamma(a + b) - logGamma(a) - logGamma(b) - Math.log(a),
  );
  // Modified Lentz's method (Thompson and Barnett, 1986).
  let [c, d, fraction] = [1, 0, 1];
  for (let i = 1; i < 10_000; i++) {
    const m = i >> 1;
    const term =
      i % 2 === 0
        ? (m * (b - m) * x) / ((a + i - 1) * (a + i))
        : (-(a + m) * (a + b + m) * x) / ((a + i - 1) * (a + i));
    d = 1 / nonZero(1 + term * d);
    c = nonZero(1 + term / c);
    fraction *= c * d;
    if (Math.abs(c * d - 1) < 1e-14) break;
  }
  return front / fraction;
}

const nonZero = (value: number): number => (Math.abs(value) < 1e-300 ? 1e-300 : value);

/** Stirling's series (DLMF 5.11.1) after the argument was raised to 12 or more. */
function logGamma(x: number): number {
  let [shift, at] = [0, x];
  for (; at < 12; at++) shift += Math.log(at);
  const s = 1 / (at * at);
  const series = (1 / 12 - s * (1 / 360 - s * (1 / 1260 - s / 1680))) / at;
  return (at - 0.5) * Math.log(at) - at + 0.5 * Math.log(2 * Math.PI) + series - shift;
}
