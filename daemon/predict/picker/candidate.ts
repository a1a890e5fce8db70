import type { Matrix } from '../design.js';

/** The matrix of each view by its name, for the places to predict. */
export type Places = ReadonlyMap<string, Matrix>;

/** What is learnt from. */
export interface Known {
  readonly y: Float64Array;
  readonly logY: Float64Array;
  /** In (0, 1]: less for samples that were measured less exactly than most (`evidenceWeights`). */
  readonly weights: Float64Array;
}

/** The samples of these rows. */
export const knownAt = ({ y, logY, weights }: Known, rows: readonly number[]): Known => ({
  y: at(y, rows),
  logY: at(logY, rows),
  weights: at(weights, rows),
});

export const at = (values: Float64Array, rows: readonly number[]): Float64Array =>
  Float64Array.from(rows, (row) => values[row] as number);

export interface FittedCandidate {
  /** The logarithm of the metric at each place. */
  predictLog(places: Places): Float64Array;
}

/** A model that might be picked: its predictions for samples it was not fitted to, and the way to fit it to all. */
export interface Candidate {
  readonly label: string;
  /** Which views it reads; the first is where distances are taken. */
  readonly views: readonly string[];
  /** Logarithms. */
  readonly held: Float64Array;
  build(): FittedCandidate;
}

/** Weighted mean absolute logarithm of predicted over measured; capped at a factor of two, so that no sample decides. */
export function lossOf(held: Float64Array, { logY, weights }: Known): number {
  let [sum, total] = [0, 0];
  for (let i = 0; i < logY.length; i++) {
    sum += (weights[i] as number) * errorOf(held, logY, i);
    total += weights[i] as number;
  }
  return sum / total;
}

const errorOf = (held: Float64Array, logY: Float64Array, i: number): number =>
  Math.min(Math.abs((held[i] as number) - (logY[i] as number)), Math.LN2);

/** Which samples are held out together: each in turn below 25 samples, else so that a fold is a fifth or a tenth. */
export function foldsOf(n: number, wanted?: number): number[][] {
  const folds = Math.min(n, wanted ?? (n < 25 ? n : n <= 200 ? 10 : 5));
  return Array.from({ length: folds }, (_, fold) =>
    Array.from({ length: Math.ceil((n - fold) / folds) }, (_, k) => fold + k * folds),
  );
}

export function othersOf(fold: readonly number[], n: number): number[] {
  const held = new Set(fold);
  return Array.from({ length: n }, (_, i) => i).filter((i) => !held.has(i));
}

/** A smaller gain than 0.2 % is worth no dearer model. */
export const leastGain = 0.002;

/**
 * Whether `next` beats `now` beyond chance: the mean of the paired differences of absolute errors exceeds `deviations`
 * standard errors.
 */
export function beats(next: Float64Array, now: Float64Array, known: Known, deviations: number): boolean {
  const { logY, weights } = known;
  const n = logY.length;
  const average = weights.reduce((sum, weight) => sum + weight, 0) / n;
  const gains = logY.map(
    (_, i) => ((weights[i] as number) / average) * (errorOf(now, logY, i) - errorOf(next, logY, i)),
  );
  const mean = gains.reduce((sum, gain) => sum + gain, 0) / n;
  const variance = gains.reduce((sum, gain) => sum + (gain - mean) ** 2, 0) / Math.max(1, n - 1);
  return mean > leastGain && mean > deviations * Math.sqrt(variance / n);
}
