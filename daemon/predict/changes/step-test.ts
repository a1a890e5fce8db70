import { type Baseline, forecast, forecastVariance } from './baseline.js';
import { locationOf, weightOf } from './student.js';

/** The values since a possible change. */
export interface Since {
  readonly rows: readonly Float64Array[];
  readonly values: Float64Array;
  readonly relative: Float64Array;
}

export interface StepTest {
  /** Logarithm of the level's ratio: since over before. */
  readonly size: number;
  readonly standardError: number;
  /** `size / standardError`. */
  readonly score: number;
  /** Values less their forecasts, in logarithms. */
  readonly residuals: Float64Array;
  /** Scale of each value's noise. */
  readonly scales: Float64Array;
}

/** Points that the noise before counts for where the scatter since is added to it. */
const scalePoints = 20;

/** Scores below some 2 raise no alarm at any rate: the test ends early. */
const leastScore = 2;

/** Compares the values since a possible change with what the baseline before it forecasts; undefined where they agree. */
export function testStep(baseline: Baseline, { rows, values, relative }: Since): StepTest | undefined {
  const expected = forecast(baseline, rows);
  const n = values.length;
  const residuals = new Float64Array(n);
  const scales = new Float64Array(n);
  let rough = 0;
  for (let i = 0; i < n; i++) {
    residuals[i] = (values[i] as number) - (expected[i] as number);
    scales[i] = baseline.scale * (relative[i] as number);
    rough += Math.max(-3, Math.min(3, (residuals[i] as number) / (scales[i] as number)));
  }
  if (Math.abs(rough) < leastScore * Math.sqrt(n)) return undefined;
  let size = locationOf(residuals, scales);
  let squares = scalePoints;
  for (let i = 0; i < n; i++) {
    const r = ((residuals[i] as number) - size) / (scales[i] as number);
    squares += weightOf(r) * r * r;
  }
  const grown = Math.sqrt(squares / (scalePoints + n));
  let information = 0;
  for (let i = 0; i < n; i++) {
    scales[i]! *= grown;
    information += 1 / (scales[i] as number) ** 2;
  }
  size = locationOf(residuals, scales);
  const variance = forecastVariance(baseline, rows) * grown * grown + baseline.inflation / information;
  const standardError = Math.sqrt(variance);
  return { size, standardError, score: size / standardError, residuals, scales };
}
