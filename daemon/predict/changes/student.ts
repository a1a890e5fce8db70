/**
 * Student's t with four degrees of freedom as a model of noise with heavy tails (Lange, Little and Taylor, 1989,
 * "Robust statistical modeling using the t distribution", JASA 84:881). Residuals are in units of its scale.
 */
export const freedom = 4;

/** Weight of a residual in a weighted mean that maximises the likelihood. */
export const weightOf = (residual: number): number => (freedom + 1) / (freedom + residual * residual);

/** Derivative of the score `residual * weightOf(residual)`. */
export function slopeOf(residual: number): number {
  const square = residual * residual;
  return ((freedom + 1) * (freedom - square)) / (freedom + square) ** 2;
}

/** Logarithm of the density, less its constant. */
export const logDensity = (residual: number): number =>
  (-(freedom + 1) / 2) * Math.log1p((residual * residual) / freedom);

/** Mean of the score's derivative, and of its square, where the model holds. */
export const expectedSlope = (freedom + 1) / (freedom + 3);

/**
 * The location of values whose noise has the given scales: the mode of the likelihood that lies nearest to their median,
 * by iteratively reweighted means.
 */
export function locationOf(values: ArrayLike<number>, scales: ArrayLike<number>): number {
  const n = values.length;
  const sorted = Float64Array.from(values).sort();
  let location = ((sorted[(n - 1) >> 1] as number) + (sorted[n >> 1] as number)) / 2;
  for (let turn = 0; turn < 30; turn++) {
    let [sum, weights] = [0, 0];
    for (let i = 0; i < n; i++) {
      const scale = scales[i] as number;
      const weight = weightOf(((values[i] as number) - location) / scale) / (scale * scale);
      sum += weight * (values[i] as number);
      weights += weight;
    }
    const next = sum / weights;
    const moved = Math.abs(next - location) * Math.sqrt(weights);
    location = next;
    if (moved < 1e-4) break;
  }
  return location;
}

/** The 97.5 % quantile of Student's t with 4 degrees or more (Abramowitz and Stegun, 1964, 26.7.5); within 0.7 %. */
export function studentQuantile(degrees: number): number {
  const z = 1.959964;
  const first = (z ** 3 + z) / 4;
  const second = (5 * z ** 5 + 16 * z ** 3 + 3 * z) / 96;
  const third = (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / 384;
  return z + first / degrees + second / degrees ** 2 + third / degrees ** 3;
}
