import { median } from '../../measure/statistics.js';

/** Two-sided 1 % of the normal distribution. */
const significantZ = 2.576;
/** A step is told from noise by complete separation and this share of the value. */
const leastStep = 0.04;

/**
 * How far values moved from the first to the last, in their unit; 0 where chance explains it. Gradual: Theil and Sen's
 * slope (Sen, 1968) where Kendall's test against time (Mann, 1945) is significant at 1 %. At once: the first and last
 * third do not overlap and lie 4 % apart.
 */
export function movement(values: readonly number[]): number {
  const n = values.length;
  if (n < 6) return 0;
  const slopes: number[] = [];
  let rising = 0;
  for (let i = 0; i < n; i++)
    for (let j = i + 1; j < n; j++) {
      const difference = (values[j] as number) - (values[i] as number);
      slopes.push(difference / (j - i));
      rising += Math.sign(difference);
    }
  const variance = (n * (n - 1) * (2 * n + 5) - ties(values)) / 18;
  const z = variance > 0 ? (Math.abs(rising) - 1) / Math.sqrt(variance) : 0;
  const gradual = z > significantZ ? median(slopes) * (n - 1) : 0;
  const step = stepOf(values);
  return Math.abs(step) > Math.abs(gradual) ? step : gradual;
}

function stepOf(values: readonly number[]): number {
  const third = Math.floor(values.length / 3);
  const [first, last] = [values.slice(0, third), values.slice(-third)];
  const apart = Math.min(...last) > Math.max(...first) || Math.max(...last) < Math.min(...first);
  const moved = median(last) - median(first);
  return apart && Math.abs(moved) > leastStep * median(values) ? moved : 0;
}

/** What equal values take from the variance of Kendall's score. */
function ties(values: readonly number[]): number {
  const counts = new Map<number, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts.values()].reduce((sum, t) => sum + t * (t - 1) * (2 * t + 5), 0);
}
