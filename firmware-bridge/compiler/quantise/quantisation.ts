import { HildaError } from '../../../daemon/core/errors.js';

/** real = scale (q - zeroPoint), q int8 (Jacob et al., CVPR 2018, equation 1). */
export interface Quantisation {
  readonly scale: number;
  readonly zeroPoint: number;
}

/** Smallest and largest value that was seen. */
export interface Range {
  readonly min: number;
  readonly max: number;
  /** Of each channel along `axis`, where that was asked for. */
  readonly channels?: ChannelRanges;
  /** How many elements of a sample lie in each of equal parts from `min` to `max`, where that is known. */
  readonly histogram?: readonly number[];
}

export interface ChannelRanges {
  readonly axis: number;
  readonly min: readonly number[];
  readonly max: readonly number[];
  readonly mean: readonly number[];
  /** The mean once all values before it are rounded to 8 bits, where that is known. */
  readonly rounded?: readonly number[];
}

/** Far above the smallest float32, in which scales are written, and far below what any network tells from 0. */
const smallestScale = 2 ** -110;

/** Per-tensor, asymmetric. The range is widened to hold 0, which must be exact: padding and Relu rest on it. */
export function quantisationOf({ min, max }: Range): Quantisation {
  const [low, high] = [Math.min(0, min), Math.max(0, max)];
  // A tensor that is always 0 has no range; any scale represents it.
  const scale = high > low ? Math.max((high - low) / 255, smallestScale) : 1 / 255;
  const zeroPoint = Math.min(127, Math.max(-128, Math.round(-128 - low / scale)));
  return { scale, zeroPoint };
}

/** The reals that int8 holds in a quantisation. */
export const rangeOf = ({ scale, zeroPoint }: Quantisation): Range => ({
  min: scale * (-128 - zeroPoint),
  max: scale * (127 - zeroPoint),
});

/** The nearest whole number; of two equally near, the even one, as QuantizeLinear rounds. */
export function roundEven(value: number): number {
  const down = Math.floor(value);
  return value - down === 0.5 ? down + (down & 1) : Math.round(value);
}

/** A real value in steps of a scale, reckoned in float32 as QuantizeLinear does. */
export const quantise = (value: number, { scale, zeroPoint }: Quantisation): number =>
  Math.min(127, Math.max(-128, roundEven(Math.fround(value / scale)) + zeroPoint));

/** The int8 limits of a real interval; an open end is int8's own. */
export function limitsOf(
  { min, max }: { readonly min: number | undefined; readonly max: number | undefined },
  quantisation: Quantisation,
): readonly [number, number] {
  return [
    min === undefined ? -128 : quantise(min, quantisation),
    max === undefined ? 127 : quantise(max, quantisation),
  ];
}

/** An accumulator's step that is many steps of the output says nothing finer: the output then takes that step. */
const finestShare = 8;

/**
 * The quantisation for what is computed in steps of `step`: as given, or coarser where its own would be a small part of
 * one. A unit whose inputs were all 0 in calibration, or a difference of equals, has next to no range of its own.
 */
export const coarsened = (given: Quantisation, step: number): Quantisation =>
  step <= finestShare * given.scale ? given : withScale(given, step);

/** The same from `scale` on: as given where its steps are that large. */
export const atLeast = (given: Quantisation, scale: number): Quantisation =>
  given.scale >= scale ? given : withScale(given, scale);

/** The range begins where it did or before: a function with a jump may read the lowest step, and answer otherwise above it. */
function withScale(given: Quantisation, scale: number): Quantisation {
  const below = (given.scale * (128 + given.zeroPoint)) / scale;
  return { scale, zeroPoint: Math.min(127, Math.max(-128, Math.ceil(below - 1e-6) - 128)) };
}

/** The largest left shift of an accumulator that the program format knows. */
const maxShift = 7;

/** The left shift at which every scale's multiplier stays below 2^31. Throws QUANTISATION_FAILED for scales from 64 on. */
export function shiftFor(largestScale: number, name: string): number {
  for (let shift = 0; shift <= maxShift; shift++)
    if (Math.round((largestScale / 2 ** shift) * 2 ** 32) < 2 ** 31) return shift;
  throw new HildaError(
    'QUANTISATION_FAILED',
    `${name}: one step of the accumulator is ${largestScale} steps of the output, at most 64 can be represented`,
    { details: { name, scale: largestScale } },
  );
}

/** m = round(scale 2^32 / 2^shift), at least 1. */
export const multiplierOf = (scale: number, shift: number): number =>
  Math.max(1, Math.round((scale / 2 ** shift) * 2 ** 32));

/** q = clamp(zy + ((acc 2^shift m + 2^31) >> 32), lo, hi): rounds half up, as every core does. Exact below 2^53? see test. */
export function requantise(
  accumulator: number,
  multiplier: number,
  { shift, zeroPoint, low, high }: { shift: number; zeroPoint: number; low: number; high: number },
): number {
  const a = accumulator * 2 ** shift;
  // The 64-bit product by halves of the multiplier, so that doubles stay exact.
  const [upper, lower] = [Math.floor(multiplier / 65536), multiplier & 0xffff];
  const rest = a * lower + 2147483648;
  const sum = a * upper + Math.floor(rest / 65536);
  return Math.min(high, Math.max(low, zeroPoint + Math.floor(sum / 65536)));
}
