import { medianOf } from '../statistics.js';

/** Scale of the noise that is assumed at the least, on the logarithmic scale: no measurement is better than 0.02 %. */
const leastScale = 2e-4;
/** No interval, however narrow, makes a point count more than this allows. */
const leastRelative = 0.2;
/** Share of equal neighbours, in order of size, from which values are taken as rounded. */
const roundedShare = 0.25;

/**
 * The least scale of the noise for these values. Rounded values hide noise: where many are equal, the step between
 * distinct ones adds the variance of its rounding (Sheppard), whose root is 0.29 of the step.
 */
export function noiseFloor(values: ArrayLike<number>): number {
  const sorted = Float64Array.from(values).sort();
  const gaps: number[] = [];
  for (let i = 1; i < sorted.length; i++) {
    const gap = (sorted[i] as number) - (sorted[i - 1] as number);
    if (gap > 1e-12) gaps.push(gap);
  }
  const equal = sorted.length - 1 - gaps.length;
  if (gaps.length === 0 || equal < roundedShare * (sorted.length - 1)) return leastScale;
  gaps.sort((a, b) => a - b);
  return Math.max(leastScale, 0.29 * (gaps[gaps.length >> 1] as number));
}

/** The median of the standard errors above 0; 0 where none is known. */
export function typicalError(standardErrors: ArrayLike<number>): number {
  const known: number[] = [];
  for (let i = 0; i < standardErrors.length; i++)
    if ((standardErrors[i] as number) > 0) known.push(standardErrors[i] as number);
  return known.length === 0 ? 0 : medianOf(known);
}

/**
 * Scale of each value's noise over the common scale. A value's variance is that between sessions, which all share, plus
 * that of its own interval: `scale^2 - m^2 + s^2`, with m the typical error. Where m exceeds the noise that is seen, the
 * intervals tell only how values compare with each other. Values without an interval count as typical.
 */
export function relativeScales(
  standardErrors: ArrayLike<number>,
  typical: number,
  scale: number,
): Float64Array {
  const out = new Float64Array(standardErrors.length).fill(1);
  if (typical === 0) return out;
  const share = Math.min(1, (typical / scale) ** 2);
  for (let i = 0; i < out.length; i++) {
    const s = standardErrors[i] as number;
    if (s >= 0) out[i] = Math.sqrt(Math.max(leastRelative ** 2, 1 - share + share * (s / typical) ** 2));
  }
  return out;
}
