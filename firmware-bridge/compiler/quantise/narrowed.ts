import { type Quantisation, quantisationOf, type Range } from './quantisation.js';

const points = 1024;
/** Steps of the answer that cutting a range may cost. */
const tolerance = 0.25;

/**
 * The part of a range in which a function still changes: beyond it, its answer is that of the end, to a quarter of a step
 * of `y`. A value that only a hard swish reads needs no steps below -3. The whole range where f is not finite in it, and
 * where the last value that 8 bits then hold lies beyond a jump of f, as below a floor's whole number.
 */
export function narrowed({ min, max }: Range, f: (x: number) => number, y: Quantisation): Range {
  const at = (i: number): number => min + ((max - min) * i) / points;
  const answers = Array.from({ length: points + 1 }, (_, i) => f(at(i)));
  if (!(max > min) || !answers.every(Number.isFinite)) return { min, max };
  const isNear = (answer: number, end: number): boolean =>
    Math.abs(answer - (answers[end] as number)) <= tolerance * y.scale;
  const flat = (end: number, step: 1 | -1): number => {
    let i = end;
    while (i + step >= 0 && i + step <= points && isNear(answers[i + step] as number, end)) i += step;
    return i;
  };
  const [low, high] = [flat(0, 1), flat(points, -1)];
  if (low >= high) return { min, max };
  // The last value that 8 bits hold may lie short of the end by half a step, where f may still change.
  for (let extra = 0; extra <= 1; extra += 0.25) {
    const reach = (extra * (at(high) - at(low))) / 255;
    const part = { min: Math.max(min, at(low) - reach), max: Math.min(max, at(high) + reach) };
    const { scale, zeroPoint } = quantisationOf(part);
    const isHeld = (steps: number, end: number): boolean => isNear(f(scale * (steps - zeroPoint)), end);
    if ((low === 0 || isHeld(-128, 0)) && (high === points || isHeld(127, points))) return part;
  }
  return { min, max };
}
