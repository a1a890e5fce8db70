/** A live check of a predictor: what it said before a network was measured, and what the measurement said. */
export interface LiveResidual {
  readonly predicted: number;
  readonly low: number;
  readonly high: number;
  readonly measured: number;
  readonly atMs: number;
}

export interface DriftReport {
  readonly n: number;
  /** Share of measurements outside their 90 % interval; 0.1 is expected. */
  readonly outside: number;
  /** Median of log(measured / predicted): 0.05 means 5 % slower than predicted. */
  readonly shift: number;
  /** Probability of so many outside, or of so lopsided residuals, were nothing wrong; two-sided, the smaller of both doubled. */
  readonly pValue: number;
  readonly state: 'too-few' | 'steady' | 'drifted';
  /** One sentence with the figures. */
  readonly reason: string;
}

/** With fewer live measurements an alarm would be chance. */
const leastLiveResiduals = 8;
/** One false alarm in a thousand looks. */
const alarmLevel = 0.001;
const expectedOutside = 0.1;
/** Older residuals say little of the device as it is now. */
const window = 60;

/**
 * Whether the newest residuals still look like those that the intervals were calibrated on: the number outside is
 * binomial with share 0.1, and the signs are even (exact binomial tests, Bonferroni for the two).
 */
export function detectDrift(residuals: readonly LiveResidual[]): DriftReport {
  const newest = [...residuals].sort((a, b) => a.atMs - b.atMs).slice(-window);
  const n = newest.length;
  const outside = newest.filter(({ measured, low, high }) => measured < low || measured > high).length;
  const logs = newest.map(({ measured, predicted }) => Math.log(measured / predicted)).sort((a, b) => a - b);
  const shift = n === 0 ? 0 : ((logs[(n - 1) >> 1] as number) + (logs[n >> 1] as number)) / 2;
  const above = logs.filter((value) => value > 0).length;
  const pValue =
    n === 0
      ? 1
      : Math.min(
          1,
          2 *
            Math.min(
              binomialTail(n, outside, expectedOutside),
              Math.min(1, 2 * binomialTail(n, Math.max(above, n - above), 0.5)),
            ),
        );
  const state = n < leastLiveResiduals ? 'too-few' : pValue < alarmLevel ? 'drifted' : 'steady';
  return {
    n,
    outside: n === 0 ? 0 : outside / n,
    shift,
    pValue,
    state,
    reason: `${outside} of the ${n} newest measurements lie outside their 90 % interval; the median is ${(100 * Math.expm1(shift)).toFixed(1)} % off (p = ${pValue.toPrecision(2)})`,
  };
}

/** P(X >= k) of a binomial distribution. */
export function binomialTail(n: number, k: number, share: number): number {
  let sum = 0;
  let logChoose = 0;
  for (let i = 0; i <= n; i++) {
    if (i > 0) logChoose += Math.log((n - i + 1) / i);
    if (i >= k) sum += Math.exp(logChoose + i * Math.log(share) + (n - i) * Math.log(1 - share));
  }
  return Math.min(1, sum);
}
