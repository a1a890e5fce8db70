import type { Quantisation, Range } from './quantisation.js';

const points = 1024;
/** Steps of the answer that cutting a range may cost. */
const tolerance = 0.25;

/**
 * The part of a range in which a function still changes: beyond it, its answer is that of the end, to a quarter of a step
 * of `y`. A value that only a hard swish reads needs no steps below -3. The whole range where f is not finite in it.
 */
export function narrowed({ min, max }: Range, f: (x: number) => number, y: Quantisation): Range {
  const at = (i: number): number => min + ((max - min) * i) / points;
  const answers = Array.from({ length: points + 1 }, (_, i) => f(at(i)));
  if (!(max > min) || !answers.every(Number.isFinite)) return { min, max };
  const flat = (end: number, step: 1 | -1): number => {
    let i = end;
    const near = (k: number): boolean =>
      Math.abs((answers[k] as number) - (answers[end] as number)) <= tolerance * y.scale;
    while (i + step >= 0 && i + step <= points && near(i + step)) i += step;
    return i;
  };
  const [low, high] = [flat(0, 1), flat(points, -1)];
  return low < high ? { min: at(low), max: at(high) } : { min, max };
}
