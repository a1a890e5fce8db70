import type { FalseAlarmRate } from './contract.js';

/** Lengths since a change that are tested, in points. */
export const lengths: readonly number[] = [5, 6, 7, 8, 9, 10, 12, 15, 18, 21];
/** Rows of the table: points before the change, at least. */
export const counts: readonly number[] = [10, 20, 40];
/** Longest tests of the table's columns but the last. Long tests average over outliers: they need smaller scores. */
const longestOf: readonly number[] = [7, 10];
export const columns = longestOf.length + 1;

/** The column of a test of this length. */
export const columnOf = (length: number): number => {
  const column = longestOf.findIndex((longest) => length <= longest);
  return column < 0 ? longestOf.length : column;
};

/**
 * Scores that raise an alarm: for each count of points before, those of short, middle and long tests.
 * By `scripts/calibrate-changes.ts --histories 170`: 510 unchanged histories of three families, 102,000 points.
 */
const table: Readonly<
  Record<FalseAlarmRate, readonly (readonly [short: number, middle: number, long: number])[]>
> = {
  1000: [
    [5.09, 5.75, 5.16],
    [5.31, 4.7, 4.35],
    [4.6, 4.56, 3.78],
  ],
  2000: [
    [5.47, 6.17, 5.68],
    [5.78, 4.99, 4.74],
    [4.95, 4.86, 4.08],
  ],
  5000: [
    [6.01, 6.77, 6.39],
    [6.41, 5.4, 5.26],
    [5.42, 5.3, 4.5],
  ],
};

/** The score beyond which a step of `length` points, after `count` points, raises an alarm. */
export function thresholdOf(length: number, count: number, rate: FalseAlarmRate): number {
  let row = 0;
  while (row + 1 < counts.length && count >= (counts[row + 1] as number)) row++;
  return table[rate][row]![columnOf(length)] as number;
}
