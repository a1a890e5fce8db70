import { ranks } from './statistics.js';

/** A strictly increasing map under which a skewed metric is easier to learn, and its inverse. */
export interface Warp {
  readonly name: WarpName;
  forward(y: number): number;
  inverse(z: number): number;
}

export const warpNames = ['identity', 'log', 'rank'] as const;
export type WarpName = (typeof warpNames)[number];

/**
 * `log` keeps relative errors even, as costs want them. `rank` maps the values to normal scores (van der Waerden 1952),
 * which pulls apart what crowds at one end of the range, as accuracies near the best do. Undefined where the values do
 * not admit the map.
 */
export function makeWarp(name: WarpName, values: readonly number[]): Warp | undefined {
  if (name === 'identity') return { name, forward: (y) => y, inverse: (z) => z };
  if (name === 'rank') return normalScores(values);
  return values.every((y) => y > 0) ? { name, forward: Math.log, inverse: Math.exp } : undefined;
}

function normalScores(values: readonly number[]): Warp | undefined {
  const place = ranks(values);
  const order = values.map((_, i) => i).sort((a, b) => (values[a] as number) - (values[b] as number));
  const ys: number[] = [];
  const zs: number[] = [];
  for (const i of order) {
    if (ys.at(-1) === values[i]) continue;
    ys.push(values[i] as number);
    zs.push(normalQuantile(((place[i] as number) - 0.5) / values.length));
  }
  if (ys.length < 3) return undefined;
  return {
    name: 'rank',
    forward: (y) => interpolate(ys, zs, y),
    inverse: (z) => interpolate(zs, ys, z),
  };
}

/** Piecewise linear; beyond the ends with the mean slope of the outer tenth, since the last step alone is noise. */
function interpolate(xs: readonly number[], ys: readonly number[], x: number): number {
  const last = xs.length - 1;
  const tail = Math.max(1, Math.round(last / 10));
  if (x <= (xs[0] as number)) return extend(0, tail);
  if (x >= (xs[last] as number)) return extend(last, last - tail);
  let low = 0;
  let high = last;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((xs[middle] as number) <= x) low = middle;
    else high = middle;
  }
  return extend(low, high);

  function extend(a: number, b: number): number {
    const slope = ((ys[b] as number) - (ys[a] as number)) / ((xs[b] as number) - (xs[a] as number));
    return (ys[a] as number) + slope * (x - (xs[a] as number));
  }
}

/** Inverse of the standard normal distribution: Acklam's rational approximation, relative error below 1.2e-9. */
function normalQuantile(p: number): number {
  if (p > 0.5) return -normalQuantile(1 - p);
  if (p >= 0.02425) {
    const q = p - 0.5;
    const r = q * q;
    return (
      (horner(
        [
          -3.969683028665376e1, 2.209460984245205e2, -2.759285104469687e2, 1.38357751867269e2,
          -3.066479806614716e1, 2.506628277459239,
        ],
        r,
      ) *
        q) /
      horner(
        [
          -5.447609879822406e1, 1.615858368580409e2, -1.556989798598866e2, 6.680131188771972e1,
          -1.328068155288572e1, 1,
        ],
        r,
      )
    );
  }
  const q = Math.sqrt(-2 * Math.log(p));
  return (
    horner(
      [
        -7.784894002430293e-3, -3.223964580411365e-1, -2.400758277161838, -2.549732539343734,
        4.374664141464968, 2.938163982698783,
      ],
      q,
    ) / horner([7.784695709041462e-3, 3.224671290700398e-1, 2.445134137142996, 3.754408661907416, 1], q)
  );
}

const horner = (coefficients: readonly number[], x: number): number =>
  coefficients.reduce((sum, c) => sum * x + c, 0);
