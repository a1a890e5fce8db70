import { medianOf } from '../statistics.js';
import { fitLevel, type LevelData, type LevelFit } from './level-fit.js';
import { seasonColumns } from './season.js';

/** Size of the season over the scale of the noise: one fit for each, weighed by its evidence. */
const seasonalities: readonly number[] = [0.15, 0.5];

/** What was known before one point of a series: level, season, earlier steps and noise. */
export interface Baseline {
  readonly fits: readonly LevelFit[];
  readonly weights: readonly number[];
  /** Positions of the earlier changes that have a column. */
  readonly steps: readonly number[];
  /** Points that it was fitted on. */
  readonly count: number;
  readonly scale: number;
  readonly inflation: number;
  /** Typical standard error of its points; 0 where none is known. */
  readonly typicalError: number;
}

/** Fits the points before one point; the fit of the point before is where the iteration starts. */
export function fitBaseline(
  data: LevelData,
  { steps, typicalError, floor }: { steps: readonly number[]; typicalError: number; floor: number },
  before: Baseline | undefined,
): Baseline {
  const known = before && before.steps.join() === steps.join() ? before.fits : undefined;
  const start = known ? undefined : roughly(data, steps.length);
  const fits = seasonalities.map((seasonality, i) =>
    fitLevel(data, seasonality, floor, known?.[i] ?? (start as Start)),
  );
  const best = Math.max(...fits.map(({ evidence }) => evidence));
  const likely = fits.map(({ evidence }) => Math.exp(evidence - best));
  const sum = likely.reduce((a, b) => a + b, 0);
  const weights = likely.map((one) => one / sum);
  const mixed = (of: (fit: LevelFit) => number): number =>
    fits.reduce((total, fit, i) => total + (weights[i] as number) * of(fit), 0);
  return {
    fits,
    weights,
    steps,
    count: data.values.length,
    scale: mixed(({ scale }) => scale),
    inflation: mixed(({ inflation }) => inflation),
    typicalError,
  };
}

interface Start {
  readonly coefficients: Float64Array;
  readonly scale: number;
}

/** Medians of the stretches between steps, and the median absolute deviation from them. */
function roughly({ rows, values }: LevelData, steps: number): Start {
  const coefficients = new Float64Array(1 + seasonColumns + steps);
  const left = Float64Array.from(values);
  for (let column = 0; column <= steps; column++) {
    const index = column === 0 ? 0 : seasonColumns + column;
    const reached = (row: Float64Array, j: number): boolean => row[j === 0 ? 0 : seasonColumns + j] === 1;
    const stretch = left.filter((_, i) => {
      const row = rows[i] as Float64Array;
      return reached(row, column) && (column === steps || !reached(row, column + 1));
    });
    const middle = stretch.length === 0 ? 0 : medianOf(stretch);
    coefficients[index] = middle;
    for (let i = 0; i < left.length; i++) if (reached(rows[i] as Float64Array, column)) left[i]! -= middle;
  }
  return { coefficients, scale: 1.3 * medianOf(left.map(Math.abs)) };
}

/** Forecasts for rows of the design that have the baseline's columns. */
export function forecast({ fits, weights }: Baseline, rows: readonly Float64Array[]): Float64Array {
  const mixture = new Float64Array((rows[0] as Float64Array).length);
  fits.forEach(({ coefficients }, f) => {
    for (let j = 0; j < mixture.length; j++)
      mixture[j]! += (weights[f] as number) * (coefficients[j] as number);
  });
  const out = new Float64Array(rows.length);
  for (let i = 0; i < out.length; i++) out[i] = dot(rows[i] as Float64Array, mixture);
  return out;
}

/** Variance of the error that the mean of the forecasts for these rows has. */
export function forecastVariance({ fits, weights }: Baseline, rows: readonly Float64Array[]): number {
  const width = (rows[0] as Float64Array).length;
  const middle = new Float64Array(width);
  for (const row of rows) for (let j = 0; j < width; j++) middle[j]! += (row[j] as number) / rows.length;
  const means = fits.map(({ coefficients }) => dot(middle, coefficients));
  const all = means.reduce((sum, mean, f) => sum + (weights[f] as number) * mean, 0);
  return fits.reduce((sum, { covariance }, f) => {
    let variance = ((means[f] as number) - all) ** 2;
    for (let a = 0; a < width; a++)
      for (let b = 0; b < width; b++)
        variance += (middle[a] as number) * (middle[b] as number) * (covariance[a * width + b] as number);
    return sum + (weights[f] as number) * variance;
  }, 0);
}

function dot(row: Float64Array, coefficients: Float64Array): number {
  let sum = 0;
  for (let j = 0; j < row.length; j++) sum += (row[j] as number) * (coefficients[j] as number);
  return sum;
}
