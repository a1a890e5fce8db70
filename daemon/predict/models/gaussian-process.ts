import { type Matrix, rowsOf } from '../design.js';
import { invertDefinite } from '../linear-algebra.js';
import { evenly, medianOf } from '../statistics.js';

/**
 * Covariance of two places: `linear` times their dot product plus a bump of their distance. Columns are standardised
 * and divided by the square root of their number, so that two random places lie about sqrt(2) apart.
 */
export interface Covariance {
  readonly linear: number;
  /** Length scale of exp(-d^2 / (2 l^2)); 0: no bump. */
  readonly length: number;
  /** Variance of the noise, in units of the signal's. */
  readonly noise: number;
}

const covariances: readonly Omit<Covariance, 'noise'>[] = [
  { linear: 1, length: 0 },
  { linear: 1, length: 0.7 },
  { linear: 1, length: 2 },
  { linear: 0.1, length: 0.7 },
  { linear: 0.1, length: 1.5 },
];
/**
 * Variance of the level. A level taken as the mean of all samples would tell a held-out sample's value to the others,
 * since centred columns and centred values each sum to nothing; as a part of the covariance it is learnt without it.
 */
const levelVariance = 30;
const noises = [0.003, 0.03, 0.2, 1];
/** Hyper-parameters are chosen on at most so many samples, evenly drawn: the cost is cubic. */
const selectionSamples = 64;
const maxSamples = 250;

export interface GaussianOptions {
  /** Left out, it is chosen. */
  readonly covariance?: Covariance | undefined;
  /** Of the samples, in (0, 1]; 1 where left out. */
  readonly weights?: Float64Array;
}

/**
 * Gaussian process regression (Rasmussen and Williams 2006, algorithm 2.1). Covariance and noise are chosen by the mean
 * absolute leave-one-out residual in closed form, r_i = (K^-1 z)_i / (K^-1)_ii (equation 5.12).
 */
export class GaussianProcess {
  readonly #x: Matrix;
  readonly #mean: Float64Array;
  readonly #scale: Float64Array;
  readonly #centre: number;
  readonly #alpha: Float64Array;
  readonly covariance: Covariance;
  #residuals: Float64Array;

  private constructor(
    x: Matrix,
    mean: Float64Array,
    scale: Float64Array,
    covariance: Covariance,
    z: Float64Array,
    inverse: Float64Array,
  ) {
    this.#x = x;
    this.#mean = mean;
    this.#scale = scale;
    this.covariance = covariance;
    const centre = medianOf(z);
    const { alpha, residuals } = solve(inverse, z, centre);
    this.#alpha = alpha;
    this.#centre = centre + levelVariance * alpha.reduce((sum, a) => sum + a, 0);
    this.#residuals = residuals;
  }

  /** z minus its prediction from the other samples. */
  get residuals(): Float64Array {
    return this.#residuals;
  }

  /** Learns from at most 250 samples, evenly drawn; what it says of the others is held out as it stands. */
  static fit(
    raw: Matrix,
    z: Float64Array,
    { covariance, weights = new Float64Array(z.length).fill(1) }: GaussianOptions = {},
  ): GaussianProcess | undefined {
    if (raw.rows <= maxSamples) return GaussianProcess.#fitAll(raw, z, weights, covariance);
    const chosen = evenly(raw.rows, maxSamples);
    const process = GaussianProcess.#fitAll(
      rowsOf(raw, chosen),
      Float64Array.from(chosen, (row) => z[row] as number),
      Float64Array.from(chosen, (row) => weights[row] as number),
      covariance,
    );
    if (!process) return undefined;
    const residuals = process.predict(raw).map((value, i) => (z[i] as number) - value);
    chosen.forEach((row, i) => {
      residuals[row] = process.residuals[i] as number;
    });
    process.#residuals = residuals;
    return process;
  }

  /** Undefined when no covariance is positive definite in double precision. */
  static #fitAll(
    raw: Matrix,
    z: Float64Array,
    weights: Float64Array,
    known?: Covariance,
  ): GaussianProcess | undefined {
    const { mean, scale } = standardisation(raw);
    const x = standardise(raw, mean, scale);
    const covariance = known ?? choose(x, z, weights);
    if (!covariance) return undefined;
    const inverse = invertDefinite(withNoise(gramOf(x, covariance), covariance.noise, weights), x.rows);
    return inverse && new GaussianProcess(x, mean, scale, covariance, z, inverse);
  }

  predict(raw: Matrix): Float64Array {
    const x = this.#x;
    const p = x.columns;
    const { linear, length } = this.covariance;
    const rate = length > 0 ? -1 / (2 * length * length) : 0;
    const out = new Float64Array(raw.rows).fill(this.#centre);
    // The linear part is one weight a column.
    const weights = new Float64Array(p);
    for (let j = 0; j < x.rows; j++) {
      const a = linear * (this.#alpha[j] as number);
      for (let k = 0; k < p; k++) weights[k] = (weights[k] as number) + a * (x.data[j * p + k] as number);
    }
    const norms = squaredNorms(x);
    const place = new Float64Array(p);
    for (let i = 0; i < raw.rows; i++) {
      let sum = 0;
      let norm = 0;
      for (let k = 0; k < p; k++) {
        const v = ((raw.data[i * p + k] as number) - (this.#mean[k] as number)) * (this.#scale[k] as number);
        place[k] = v;
        norm += v * v;
        sum += v * (weights[k] as number);
      }
      if (length > 0) {
        for (let j = 0; j < x.rows; j++) {
          let dot = 0;
          const at = j * p;
          for (let k = 0; k < p; k++) dot += (place[k] as number) * (x.data[at + k] as number);
          sum += (this.#alpha[j] as number) * Math.exp(rate * (norm + (norms[j] as number) - 2 * dot));
        }
      }
      out[i] = (out[i] as number) + sum;
    }
    return out;
  }
}

function choose(x: Matrix, z: Float64Array, weights: Float64Array): Covariance | undefined {
  const rows = evenly(x.rows, selectionSamples);
  const n = rows.length;
  const part = rowsOf(x, rows);
  const target = Float64Array.from(rows, (row) => z[row] as number);
  const trust = Float64Array.from(rows, (row) => weights[row] as number);
  const centre = medianOf(target);
  let best: { covariance: Covariance; loss: number } | undefined;
  for (const shape of covariances) {
    const signal = gramOf(part, shape);
    for (const noise of noises) {
      const inverse = invertDefinite(withNoise(signal.slice(), noise, trust), n);
      if (!inverse) continue;
      const { residuals } = solve(inverse, target, centre);
      const loss = residuals.reduce((sum, r, i) => sum + (trust[i] as number) * Math.abs(r), 0);
      if (!best || loss < best.loss) best = { covariance: { ...shape, noise }, loss };
    }
  }
  return best?.covariance;
}

function solve(
  inverse: Float64Array,
  z: Float64Array,
  centre: number,
): { readonly alpha: Float64Array; readonly residuals: Float64Array } {
  const n = z.length;
  const alpha = new Float64Array(n);
  const residuals = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    let sum = 0;
    for (let j = 0; j < n; j++) sum += (inverse[i * n + j] as number) * ((z[j] as number) - centre);
    alpha[i] = sum;
    residuals[i] = sum / (inverse[i * n + i] as number);
  }
  return { alpha, residuals };
}

function gramOf(x: Matrix, { linear, length }: Omit<Covariance, 'noise'>): Float64Array {
  const { rows: n, columns: p, data } = x;
  const norms = squaredNorms(x);
  const rate = length > 0 ? -1 / (2 * length * length) : 0;
  const out = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let dot = 0;
      for (let k = 0; k < p; k++) dot += (data[i * p + k] as number) * (data[j * p + k] as number);
      const bump =
        length > 0 ? Math.exp(rate * Math.max(0, (norms[i] as number) + (norms[j] as number) - 2 * dot)) : 0;
      const value = levelVariance + linear * dot + bump;
      out[i * n + j] = value;
      out[j * n + i] = value;
    }
  }
  return out;
}

/** A sample of half the weight has twice the noise. Changes `gram`. */
function withNoise(gram: Float64Array, noise: number, weights: Float64Array): Float64Array {
  const n = weights.length;
  for (let i = 0; i < n; i++) gram[i * n + i] = (gram[i * n + i] as number) + noise / (weights[i] as number);
  return gram;
}

function squaredNorms({ rows, columns, data }: Matrix): Float64Array {
  const out = new Float64Array(rows);
  for (let i = 0; i < rows; i++) {
    let sum = 0;
    for (let k = 0; k < columns; k++) sum += (data[i * columns + k] as number) ** 2;
    out[i] = sum;
  }
  return out;
}

function standardisation({ rows, columns, data }: Matrix): {
  readonly mean: Float64Array;
  readonly scale: Float64Array;
} {
  const mean = new Float64Array(columns);
  const scale = new Float64Array(columns);
  for (let i = 0; i < rows; i++)
    for (let k = 0; k < columns; k++)
      mean[k] = (mean[k] as number) + (data[i * columns + k] as number) / rows;
  for (let i = 0; i < rows; i++)
    for (let k = 0; k < columns; k++)
      scale[k] = (scale[k] as number) + ((data[i * columns + k] as number) - (mean[k] as number)) ** 2 / rows;
  for (let k = 0; k < columns; k++)
    scale[k] = 1 / ((Math.sqrt(scale[k] as number) || 1) * Math.sqrt(Math.max(1, columns)));
  return { mean, scale };
}

function standardise(raw: Matrix, mean: Float64Array, scale: Float64Array): Matrix {
  const data = raw.data.map((value, at) => {
    const k = at % raw.columns;
    return (value - (mean[k] as number)) * (scale[k] as number);
  });
  return { ...raw, data };
}
