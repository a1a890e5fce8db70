import { studentTwoSided } from './student.js';

/**
 * Two one-sided tests (Schuirmann, 1987) on the logarithms of latencies of two devices, by Welch's t: equivalent where
 * the 90 % interval of the ratio of geometric means lies within [1 / (1 + margin), 1 + margin]. That few or noisy
 * samples cannot show a difference is no evidence of sameness, which is why this is not a test for difference.
 */
export interface EquivalenceTest {
  readonly equivalent: boolean;
  /** Geometric mean of b over that of a. */
  readonly ratio: number;
  /** 90 % interval of the ratio. */
  readonly interval: readonly [low: number, high: number];
}

/** What is known of the variance of one visit's logarithm before the test, with its degrees of freedom. */
export interface KnownVariance {
  readonly variance: number;
  readonly freedom: number;
}

/**
 * Latencies in one unit, two or more a device, each from a visit of its own. `known`: what the target's repeats have told of
 * its variance, within and between sessions; a few visits that happen to agree do not make it smaller, and visits that
 * scatter more than is known count as they are. Throws RangeError on fewer.
 */
export function testEquivalence(
  a: readonly number[],
  b: readonly number[],
  margin: number,
  known?: KnownVariance,
): EquivalenceTest {
  const [la, lb] = [moments(a.map(Math.log), known), moments(b.map(Math.log), known)];
  const difference = lb.mean - la.mean;
  const [va, vb] = [la.variance / a.length, lb.variance / b.length];
  const error = Math.sqrt(va + vb);
  // Welch and Satterthwaite; deterministic devices have no variance at all, and any quantile of it is zero.
  const freedom =
    error === 0 ? Number.POSITIVE_INFINITY : (va + vb) ** 2 / (va ** 2 / la.freedom + vb ** 2 / lb.freedom);
  // One-sided 5 % on either side. Whole degrees of freedom, rounded down: never narrower than it should be.
  const half = error * studentTwoSided(0.1, Math.max(1, Math.floor(freedom)));
  const bound = Math.log1p(margin);
  return {
    equivalent: difference - half >= -bound && difference + half <= bound,
    ratio: Math.exp(difference),
    interval: [Math.exp(difference - half), Math.exp(difference + half)],
  };
}

/** With the larger of the variance that is seen and the one that is known, and its degrees of freedom. */
function moments(
  values: readonly number[],
  known: KnownVariance | undefined,
): KnownVariance & { readonly mean: number } {
  if (values.length < 2) throw new RangeError('equivalence needs two or more samples a device');
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const seen = { variance: squares / (values.length - 1), freedom: values.length - 1 };
  return { mean, ...(known && known.variance > seen.variance ? known : seen) };
}
