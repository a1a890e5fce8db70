import { median } from '../../measure/statistics.js';

export interface Trend {
  /** Median of the last third over that of the first, less one. */
  readonly moved: number;
  /** Mann and Kendall's statistic in standard deviations; 0 where there are too few values. */
  readonly z: number;
  readonly firstThird: number;
  readonly lastThird: number;
}

/**
 * Whether values taken in order rise or fall: the test of Mann (1945) and Kendall (1975) with the variance for ties, which
 * asks for no distribution. Single outliers hardly move it.
 */
export function trendOf(values: readonly number[]): Trend {
  const third = Math.max(1, Math.floor(values.length / 3));
  const [firstThird, lastThird] = [median(values.slice(0, third)), median(values.slice(-third))];
  return { moved: lastThird / firstThird - 1, z: mannKendall(values), firstThird, lastThird };
}

function mannKendall(values: readonly number[]): number {
  const n = values.length;
  let s = 0;
  for (let i = 0; i < n; i++)
    for (let j = i + 1; j < n; j++) s += Math.sign((values[j] as number) - (values[i] as number));
  const ties = new Map<number, number>();
  for (const value of values) ties.set(value, (ties.get(value) ?? 0) + 1);
  const pairs = (count: number): number => count * (count - 1) * (2 * count + 5);
  const variance = (pairs(n) - [...ties.values()].reduce((sum, count) => sum + pairs(count), 0)) / 18;
  // One step towards 0: s moves in steps of two.
  return variance > 0 ? (s - Math.sign(s)) / Math.sqrt(variance) : 0;
}
