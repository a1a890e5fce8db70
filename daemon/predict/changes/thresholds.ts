import type { FalseAlarmRate } from './contract.js';

/** Lengths since a change that are tested, in points. */
export const lengths: readonly number[] = [5, 6, 7, 8, 9, 10, 12, 15, 18, 21];
/** Rows of the table: points before the change, at least. */
export const counts: readonly number[] = [10, 20, 40];
/** Up to this length a test is short: the table's first column. */
export const longestShort = 7;

/**
 * Scores that raise an alarm: for each count of points before, that of short lengths and that of the others.
 * By `scripts/calibrate-changes.ts --histories 170`: 510 unchanged histories of three families, 102,000 points.
 */
const table: Readonly<Record<FalseAlarmRate, readonly (readonly [short: number, long: number])[]>> = {
  1000: [
    [5.05, 5.07],
    [5.28, 4.25],
    [4.57, 3.96],
  ],
  2000: [
    [5.41, 5.55],
    [5.72, 4.55],
    [4.89, 4.27],
  ],
  5000: [
    [5.94, 6.23],
    [6.36, 4.98],
    [5.36, 4.73],
  ],
};

/** The score beyond which a step of `length` points, after `count` points, raises an alarm. */
export function thresholdOf(length: number, count: number, rate: FalseAlarmRate): number {
  let row = 0;
  while (row + 1 < counts.length && count >= (counts[row + 1] as number)) row++;
  return table[rate][row]![length <= longestShort ? 0 : 1];
}
