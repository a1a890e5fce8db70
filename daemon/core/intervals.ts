export type Interval = readonly [low: number, high: number];

/** A value with its 95 % interval. */
export interface Estimate {
  readonly value: number;
  readonly ci: Interval;
}

/**
 * The 95 % interval of `a - b` for two independent estimates: each side is as far from the difference as the root of the
 * summed squares of the two sides that push it there (MOVER: Zou and Donner, 2008, Statistics in Medicine 27:1693).
 * Two intervals may overlap while their difference is certain: this one says it.
 */
export const differenceInterval = (a: Estimate, b: Estimate): Interval => [
  a.value - b.value - Math.hypot(a.value - a.ci[0], b.ci[1] - b.value),
  a.value - b.value + Math.hypot(a.ci[1] - a.value, b.value - b.ci[0]),
];

/** The same for `a + b`. */
export const sumInterval = (a: Estimate, b: Estimate): Interval => [
  a.value + b.value - Math.hypot(a.value - a.ci[0], b.value - b.ci[0]),
  a.value + b.value + Math.hypot(a.ci[1] - a.value, b.ci[1] - b.value),
];

/** Whether an interval of a difference leaves no doubt about its sign. */
export const isApart = ([low, high]: Interval): boolean => low > 0 || high < 0;
