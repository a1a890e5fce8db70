import { type Quantisation, quantisationOf, type Range } from './quantisation.js';

/** A smaller sample says nothing of what is rare. */
const smallestSample = 4096;
/** What the ends of a range are tried at, as shares of it. */
const shares = [1, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45, 0.4, 0.35, 0.3];
/** Points that stand for the elements of one part of a histogram: no grid meets all of them. */
const within = [0.125, 0.375, 0.625, 0.875];
/** Errors count by this power: rare large elements say much, so that cutting them off costs more than by the square. */
const power = 4;

/** What reads a value: a function of each element, in steps of `y`. */
export interface Behind {
  readonly f: (x: number) => number;
  readonly y: Quantisation;
}

/**
 * The part of `given` in whose 8-bit steps a sample of the value is held best: a few far elements are cut off where finer
 * steps for all others gain more. Errors are those of what a function makes of the value, where one alone reads it.
 * The range as it is where no histogram was taken of it, or of few elements.
 */
export function fitted(given: Range, seen: Range, behind?: Behind): Range {
  const points = pointsOf(seen, given);
  if (!points) return given;
  const read = reader(behind);
  const answers = points.x.map(read);
  if (!answers.every(Number.isFinite)) return given;
  const errorOf = ([low, high]: readonly [number, number]): number => {
    const { scale, zeroPoint } = quantisationOf({ min: given.min * low, max: given.max * high });
    const held = new Float64Array(256);
    for (let i = 0; i < 256; i++) held[i] = read(scale * (i - 128 - zeroPoint));
    let sum = 0;
    for (let i = 0; i < answers.length; i++) {
      const q = Math.min(127, Math.max(-128, Math.round((points.x[i] as number) / scale) + zeroPoint));
      sum +=
        (points.weight[i] as number) * Math.abs((held[q + 128] as number) - (answers[i] as number)) ** power;
    }
    return Number.isNaN(sum) ? Number.POSITIVE_INFINITY : sum;
  };
  let best = { ends: [1, 1] as readonly [number, number], error: errorOf([1, 1]) };
  const tryEnds = (ends: readonly [number, number]): void => {
    const error = errorOf(ends);
    if (error < best.error) best = { ends, error };
  };
  for (let round = 0; round < 2; round++) {
    for (const high of given.max > 0 ? shares : []) tryEnds([best.ends[0], high]);
    for (const low of given.min < 0 ? shares : []) tryEnds([low, best.ends[1]]);
  }
  const [low, high] = best.ends;
  return { min: given.min * low, max: given.max * high };
}

/** The function behind a value, its answers cut to what their steps hold. */
function reader(behind: Behind | undefined): (x: number) => number {
  if (!behind) return (x) => x;
  const { f, y } = behind;
  const [low, high] = [y.scale * (-128 - y.zeroPoint), y.scale * (127 - y.zeroPoint)];
  return (x) => Math.min(high, Math.max(low, f(x)));
}

/** The sample as points with weights, within the range that 8 bits shall hold. */
function pointsOf(
  { min, max, histogram }: Range,
  given: Range,
): { readonly x: readonly number[]; readonly weight: readonly number[] } | undefined {
  if (!histogram || !(max > min) || histogram.reduce((a, b) => a + b, 0) < smallestSample) return undefined;
  const width = (max - min) / histogram.length;
  const x: number[] = [];
  const weight: number[] = [];
  histogram.forEach((count, i) => {
    if (count === 0) return;
    for (const share of within) {
      x.push(Math.min(given.max, Math.max(given.min, min + (i + share) * width)));
      weight.push(count);
    }
  });
  return { x, weight };
}
