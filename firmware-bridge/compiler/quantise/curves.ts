import type { Range } from './quantisation.js';

/** Values of a curve's table: both ends of 256 equal parts of its domain. */
export const curveEntries = 257;

/** A function that recurrent layers bend with: it rises, and lies between -1 and 1. */
export interface Curve {
  readonly name: string;
  readonly f: (x: number) => number;
  /** Beyond this, on either side, f is as good as its limit; infinite where it keeps rising. */
  readonly reach: number;
  /** Whether small values of f grow smaller for ever on the left, so that a domain left of zero stays useful. */
  readonly hasTail: boolean;
  /** f(-x) = -f(x). */
  readonly isOdd: boolean;
}

/** By names in lower case (ONNX, LSTM). */
const curves: ReadonlyMap<string, Omit<Curve, 'name'>> = new Map<string, Omit<Curve, 'name'>>([
  ['sigmoid', { f: (x) => 1 / (1 + Math.exp(-x)), reach: 16, hasTail: true, isOdd: false }],
  ['tanh', { f: Math.tanh, reach: 8, hasTail: false, isOdd: true }],
  [
    'hardsigmoid',
    { f: (x) => Math.min(1, Math.max(0, 0.2 * x + 0.5)), reach: 2.5, hasTail: false, isOdd: false },
  ],
  [
    'softsign',
    { f: (x) => x / (1 + Math.abs(x)), reach: Number.POSITIVE_INFINITY, hasTail: false, isOdd: true },
  ],
]);

export function curveOf(name: string): Curve | undefined {
  const found = curves.get(name.toLowerCase());
  return found && { name, ...found };
}

/** A curve as a cell reads it: entries are `f` over `domain`, in parts of `peak` / 2^15. */
export interface CurveTable {
  readonly entries: Int16Array;
  readonly domain: Range;
  /** A power of two: the least that no value exceeds. */
  readonly peak: number;
  /** The largest magnitude of an entry, in reals. */
  readonly largest: number;
}

/** The least power of two that is at least a positive value. */
export const powerOver = (value: number): number => 2 ** Math.ceil(Math.log2(value) - 1e-12);

/**
 * f over a domain. Negated tables hold -f, since 16 bits hold -1 and not 1: what is kept whole stays whole. `peak` is found
 * where it is not given.
 */
export function curveTable(
  f: (x: number) => number,
  domain: Range,
  { isNegated = false, peak: given }: { readonly isNegated?: boolean; readonly peak?: number } = {},
): CurveTable {
  const width = (domain.max - domain.min) / (curveEntries - 1);
  const reals = Array.from({ length: curveEntries }, (_, i) => f(domain.min + i * width));
  const peak = given ?? powerOver(Math.max(...reals.map(Math.abs), 2 ** -40));
  const share = (isNegated ? -32768 : 32768) / peak;
  const entries = Int16Array.from(reals, (real) =>
    Math.max(-32768, Math.min(32767, Math.round(share * real))),
  );
  const largest = (entries.reduce((most, entry) => Math.max(most, Math.abs(entry)), 0) * peak) / 32768;
  return { entries, domain, peak, largest };
}

/** How a cell's state lies in 32 bits, and how what a step adds comes to it. */
export interface StateScale {
  /** A power of two that no state reaches: 32 bits hold from -peak to peak. */
  readonly peak: number;
  /** By how many bits the product of two curves is shifted down to the steps of the state. */
  readonly productShift: number;
}

/**
 * The scale of a state s = added * bent + kept * s over a number of steps from one no larger than `first`: proven from the
 * tables, so that no step overflows. A convex state lies between what it was and `bent`, but for the rounding of both shares.
 */
export function stateScale(
  { kept, added, bent }: Readonly<Record<'kept' | 'added' | 'bent', CurveTable>>,
  { first, steps, isConvex }: { readonly first: number; readonly steps: number; readonly isConvex: boolean },
): StateScale {
  const [each, share] = [added.largest * bent.largest, kept.largest];
  const sum = share < 1 ? (each * (1 - share ** steps)) / (1 - share) : each * steps;
  const grown = Math.max(first, share ** steps * first + sum);
  const bound = isConvex ? Math.min(grown, 2 * Math.max(first, bent.largest)) : grown;
  const product = 2 * added.peak * bent.peak;
  const peak = Math.max(powerOver(bound * 1.000001 + 2 ** -60), product);
  return { peak, productShift: Math.min(31, Math.round(Math.log2(peak / product))) };
}
