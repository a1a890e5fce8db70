import { gaussian, type Rng } from '../../../core/rng.js';
import type { SparseRow } from './vocabulary.js';

/** Prior precisions of the weights, relative to the noise, that the evidence chooses from. */
const precisions = [0.1, 0.3, 1, 3, 10, 30];

/**
 * Bayesian linear regression on sparse rows: weights ~ N(0, s^2 / p), noise ~ N(0, s^2); p by evidence (MacKay 1992,
 * section 3), s^2 by its maximum given p. `draw` gives weights of one posterior sample, for Thompson sampling
 * (Thompson 1933; Agrawal and Goyal 2013). Deterministic but for `draw`'s generator.
 */
export class BayesianLinear {
  readonly weights: Float64Array;
  readonly noise: number;
  readonly precision: number;
  readonly #factor: Float64Array[];

  private constructor(weights: Float64Array, noise: number, precision: number, factor: Float64Array[]) {
    this.weights = weights;
    this.noise = noise;
    this.precision = precision;
    this.#factor = factor;
  }

  /** `size`: number of columns, all of them. Column 0 is the intercept and hardly shrunk. */
  static fit(rows: readonly SparseRow[], y: readonly number[], size: number): BayesianLinear {
    const gram = Array.from({ length: size }, () => new Float64Array(size));
    const moments = new Float64Array(size);
    let squares = 0;
    rows.forEach(({ columns, values }, r) => {
      const target = y[r] as number;
      squares += target * target;
      for (let i = 0; i < columns.length; i++) {
        const row = gram[columns[i] as number] as Float64Array;
        const value = values[i] as number;
        moments[columns[i] as number] = (moments[columns[i] as number] as number) + value * target;
        for (let j = 0; j < columns.length; j++) {
          const at = columns[j] as number;
          row[at] = (row[at] as number) + value * (values[j] as number);
        }
      }
    });
    let best: { evidence: number; model: BayesianLinear } | undefined;
    for (const precision of precisions) {
      const factor = cholesky(gram.map((row, i) => shifted(row, i, i === 0 ? 1e-3 : precision)));
      const weights = solve(factor, moments);
      const fitted = weights.reduce((sum, w, i) => sum + w * (moments[i] as number), 0);
      const noise = Math.max(1e-12, (squares - fitted) / Math.max(1, rows.length));
      const logDeterminant = factor.reduce((sum, row, i) => sum + 2 * Math.log(row[i] as number), 0);
      const evidence =
        -0.5 * (rows.length * Math.log(noise) + logDeterminant - (size - 1) * Math.log(precision));
      if (!best || evidence > best.evidence)
        best = { evidence, model: new BayesianLinear(weights, noise, precision, factor) };
    }
    return (best as { model: BayesianLinear }).model;
  }

  /** Columns that the fit did not know count as 0. */
  static dot(weights: Float64Array, { columns, values }: SparseRow): number {
    let sum = 0;
    for (let i = 0; i < columns.length; i++)
      sum += (weights[columns[i] as number] ?? 0) * (values[i] as number);
    return sum;
  }

  /** Weights of one posterior sample, their deviation scaled by `spread`. */
  draw(rng: Rng, spread = 1): Float64Array {
    const size = this.weights.length;
    const z = Float64Array.from({ length: size }, () => gaussian(rng));
    // Covariance = noise (L L')^-1, so L'^-1 z has it up to the noise.
    for (let i = size - 1; i >= 0; i--) {
      let value = z[i] as number;
      for (let k = i + 1; k < size; k++) value -= (this.#factor[k]?.[i] as number) * (z[k] as number);
      z[i] = value / (this.#factor[i]?.[i] as number);
    }
    const scale = spread * Math.sqrt(this.noise);
    return this.weights.map((w, i) => w + scale * (z[i] as number));
  }
}

function shifted(row: Float64Array, i: number, by: number): Float64Array {
  const copy = Float64Array.from(row);
  copy[i] = (copy[i] as number) + by;
  return copy;
}

/** Lower factor, in place. */
function cholesky(a: Float64Array[]): Float64Array[] {
  const n = a.length;
  for (let i = 0; i < n; i++) {
    const row = a[i] as Float64Array;
    for (let j = 0; j <= i; j++) {
      const other = a[j] as Float64Array;
      let sum = row[j] as number;
      for (let k = 0; k < j; k++) sum -= (row[k] as number) * (other[k] as number);
      row[j] = i === j ? Math.sqrt(Math.max(sum, 1e-12)) : sum / (other[j] as number);
    }
  }
  return a;
}

function solve(factor: Float64Array[], b: Float64Array): Float64Array {
  const n = factor.length;
  const x = Float64Array.from(b);
  for (let i = 0; i < n; i++) {
    const row = factor[i] as Float64Array;
    let value = x[i] as number;
    for (let k = 0; k < i; k++) value -= (row[k] as number) * (x[k] as number);
    x[i] = value / (row[i] as number);
  }
  for (let i = n - 1; i >= 0; i--) {
    let value = x[i] as number;
    for (let k = i + 1; k < n; k++) value -= (factor[k]?.[i] as number) * (x[k] as number);
    x[i] = value / (factor[i]?.[i] as number);
  }
  return x;
}

/** Normal scores of the ranks (Blom 1958): outliers and skew lose their pull. Ties share a score. */
export function normalScores(values: readonly number[]): number[] {
  const sorted = [...values].sort((a, b) => a - b);
  const first = new Map<number, number>();
  const last = new Map<number, number>();
  sorted.forEach((value, i) => {
    if (!first.has(value)) first.set(value, i);
    last.set(value, i);
  });
  return values.map((value) =>
    quantile(
      ((first.get(value) as number) + (last.get(value) as number)) / 2 + 1 - 0.375,
      values.length + 0.25,
    ),
  );
}

/** Inverse of the normal distribution at rank / of. */
function quantile(rank: number, of: number): number {
  const p = Math.min(1 - 1e-9, Math.max(1e-9, rank / of));
  // Winitzki (2008) for the inverse error function: absolute error below 0.003.
  const x = 2 * p - 1;
  const a = 0.147;
  const log = Math.log(1 - x * x);
  const half = 2 / (Math.PI * a) + log / 2;
  return Math.SQRT2 * Math.sign(x) * Math.sqrt(Math.sqrt(half * half - log / a) - half);
}
