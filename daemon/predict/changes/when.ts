import { logDensity } from './student.js';

export interface When {
  /** Index of the first value of the new level: the likeliest one. */
  readonly since: number;
  /** First and last index of the smallest set that holds 95 % of the posterior. */
  readonly interval: readonly [first: number, last: number];
}

/**
 * When a step began: the posterior over the first index of the new level, each equally likely before, with the level's
 * forecasts and the step's size given. Residuals are values less forecasts; the index is that of `residuals`, at least 1.
 */
export function whenBegan(residuals: ArrayLike<number>, scales: ArrayLike<number>, size: number): When {
  const n = residuals.length;
  const logs = new Float64Array(n);
  let sum = 0;
  for (let i = n - 1; i >= 1; i--) {
    const scale = scales[i] as number;
    sum +=
      logDensity(((residuals[i] as number) - size) / scale) - logDensity((residuals[i] as number) / scale);
    logs[i] = sum;
  }
  logs[0] = Number.NEGATIVE_INFINITY;
  const order = Array.from(logs.keys()).sort((a, b) => (logs[b] as number) - (logs[a] as number) || a - b);
  const best = logs[order[0] as number] as number;
  const total = logs.reduce((all, one) => all + Math.exp(one - best), 0);
  let [held, first, last] = [0, n, 0];
  for (const i of order) {
    if (held >= 0.95 * total) break;
    held += Math.exp((logs[i] as number) - best);
    first = Math.min(first, i);
    last = Math.max(last, i);
  }
  return { since: order[0] as number, interval: [first, last] };
}
