import { HildaError } from '../core/errors.js';
import type { Json } from '../core/json.js';
import type { Features, Predictions, Predictor, PredictorScore } from './contract.js';
import { invertDefinite } from './linear-algebra.js';
import { scorePredictions } from './score.js';
import { conformalQuantile } from './statistics.js';

/** Exponents of the similarity: 1 is ordinary ridge regression, larger ones let decisions act together. */
const powers = [1, 2, 4, 8, 16];
const noises = [0.003, 0.03, 0.3];
/** Hyper-parameters are chosen on at most so many samples: the cost is cubic. */
const selectionSamples = 120;

interface FittedRidge {
  readonly x: readonly SparseVector[];
  readonly index: ReadonlyMap<string, number>;
  readonly y: readonly number[];
  readonly power: number;
  readonly alpha: Float64Array;
  readonly centre: number;
  /** 90 % quantile of held-out |residual| / looseness. */
  readonly quantile: number;
  readonly score: PredictorScore;
}

interface SparseVector {
  readonly at: readonly number[];
  readonly value: readonly number[];
  /** Euclidean length, features that fitting never saw included. */
  readonly length: number;
}

/**
 * Kernel ridge regression on any features, one-hot decisions above all, with the kernel ((1 + cosine) / 2)^p: for
 * one-hot vectors it grows with the share of equal decisions. Exponent and noise are chosen by the leave-one-out
 * residuals in closed form, r_i = (K^-1 y)_i / (K^-1)_ii (Rasmussen and Williams 2006, equation 5.12). The interval is
 * the jackknife's (Barber et al. 2021), scaled by how far the nearest measured sample lies.
 */
export class RidgePredictor implements Predictor {
  readonly name = 'ridge';
  readonly minimumSamples = 10;
  #fitted: FittedRidge | undefined;

  fit(x: readonly Features[], y: readonly number[]): void {
    if (x.length < this.minimumSamples || !y.every(Number.isFinite)) {
      throw new HildaError(
        'PREDICTOR_UNFIT',
        `ridge needs ${this.minimumSamples} finite values, not ${x.length}`,
      );
    }
    const index = new Map<string, number>();
    for (const features of x)
      for (const name of features.keys()) if (!index.has(name)) index.set(name, index.size);
    const vectors = x.map((features) => sparse(features, index));
    const cosines = cosineMatrix(vectors);
    const { power, noise } = choose(cosines, y, vectors.length);
    const solved = solve(cosines, y, x.length, power, noise);
    if (!solved) throw new HildaError('PREDICTOR_UNFIT', 'the samples do not determine a ridge model');
    const held = y.map((value, i) => value - (solved.residuals[i] as number));
    const loose = y.map((_, i) => {
      let nearest = 0;
      for (let j = 0; j < y.length; j++)
        if (j !== i) nearest = Math.max(nearest, cosines[i * y.length + j] as number);
      return looseness(nearest);
    });
    const ratios = y.map((_, i) => Math.abs(solved.residuals[i] as number) / (loose[i] as number));
    const exact = conformalQuantile(ratios, 0.9);
    const quantile = Number.isFinite(exact) ? exact : 2 * Math.max(...ratios);
    const score = scorePredictions(
      y,
      held,
      ratios.map((r) => r <= quantile),
    );
    this.#fitted = {
      x: vectors,
      index,
      y,
      power,
      alpha: solved.alpha,
      centre: solved.centre,
      quantile,
      score,
    };
  }

  predict(x: readonly Features[]): Predictions {
    const { x: known, index, power, alpha, centre, quantile } = this.#need();
    const mean = new Float64Array(x.length);
    const low = new Float64Array(x.length);
    const high = new Float64Array(x.length);
    const dense = new Float64Array(index.size);
    x.forEach((features, i) => {
      const vector = sparse(features, index);
      vector.at.forEach((at, k) => {
        dense[at] = vector.value[k] as number;
      });
      let sum = centre;
      let nearest = 0;
      for (let j = 0; j < known.length; j++) {
        const other = known[j] as SparseVector;
        let dot = 0;
        for (let k = 0; k < other.at.length; k++)
          dot += (dense[other.at[k] as number] as number) * (other.value[k] as number);
        const cosine = dot / (other.length * vector.length);
        nearest = Math.max(nearest, cosine);
        sum += (alpha[j] as number) * ((1 + cosine) / 2) ** power;
      }
      for (const at of vector.at) dense[at] = 0;
      const half = quantile * looseness(nearest);
      mean[i] = sum;
      low[i] = sum - half;
      high[i] = sum + half;
    });
    return { mean, low, high };
  }

  score(): PredictorScore {
    return this.#need().score;
  }

  state(): Json {
    if (!this.#fitted) return null;
    const names = [...this.#fitted.index.keys()];
    const x = this.#fitted.x.map(({ at, value }) =>
      at.map((j, k) => [names[j] as string, value[k] as number]),
    );
    return { x, y: this.#fitted.y };
  }

  /** Fits again: equal data give the equal model. */
  restore(state: Json): void {
    this.#fitted = undefined;
    if (state === null) return;
    const { x, y } = state as unknown as { x: [string, number][][]; y: number[] };
    this.fit(
      x.map((entries) => new Map(entries)),
      y,
    );
  }

  #need(): FittedRidge {
    if (!this.#fitted) throw new HildaError('PREDICTOR_UNFIT', 'the ridge predictor was not fitted yet');
    return this.#fitted;
  }
}

/** Grows from 0.2 beside a measured sample to 1 far from all. */
const looseness = (nearestCosine: number): number => 0.2 + 0.8 * Math.sqrt(Math.max(0, 1 - nearestCosine));

function sparse(features: Features, index: ReadonlyMap<string, number>): SparseVector {
  const at: number[] = [];
  const value: number[] = [];
  let square = 0;
  for (const [name, v] of features) {
    square += v * v;
    const j = index.get(name);
    if (j === undefined || v === 0) continue;
    at.push(j);
    value.push(v);
  }
  return { at, value, length: Math.sqrt(square) || 1 };
}

function cosineMatrix(vectors: readonly SparseVector[]): Float64Array {
  const n = vectors.length;
  const out = new Float64Array(n * n);
  const maps = vectors.map(({ at, value }) => new Map(at.map((j, k) => [j, value[k] as number])));
  for (let i = 0; i < n; i++) {
    const row = maps[i] as Map<number, number>;
    for (let j = 0; j <= i; j++) {
      const other = vectors[j] as SparseVector;
      let dot = 0;
      for (let k = 0; k < other.at.length; k++)
        dot += (row.get(other.at[k] as number) ?? 0) * (other.value[k] as number);
      const cosine = dot / ((vectors[i] as SparseVector).length * other.length);
      out[i * n + j] = cosine;
      out[j * n + i] = cosine;
    }
  }
  return out;
}

interface Solution {
  readonly alpha: Float64Array;
  readonly residuals: Float64Array;
  readonly centre: number;
}

/** Fits the first n samples of a matrix; `residuals` are leave-one-out. */
function solve(
  cosines: Float64Array,
  y: readonly number[],
  n: number,
  power: number,
  noise: number,
): Solution | undefined {
  const stride = y.length;
  const kernel = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) kernel[i * n + j] = ((1 + (cosines[i * stride + j] as number)) / 2) ** power;
    kernel[i * n + i] = (kernel[i * n + i] as number) + noise;
  }
  const inverse = invertDefinite(kernel, n);
  if (!inverse) return undefined;
  const centre = y.slice(0, n).reduce((sum, v) => sum + v, 0) / n;
  const alpha = new Float64Array(n);
  const residuals = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    let sum = 0;
    for (let j = 0; j < n; j++) sum += (inverse[i * n + j] as number) * ((y[j] as number) - centre);
    alpha[i] = sum;
    residuals[i] = sum / (inverse[i * n + i] as number);
  }
  return { alpha, residuals, centre };
}

function choose(
  cosines: Float64Array,
  y: readonly number[],
  samples: number,
): { power: number; noise: number } {
  const n = Math.min(samples, selectionSamples);
  let best = { power: 1, noise: 0.3, loss: Number.POSITIVE_INFINITY };
  for (const power of powers) {
    for (const noise of noises) {
      // The mean absolute residual: a few failed networks at the bottom must not decide for the rest.
      const loss = solve(cosines, y, n, power, noise)?.residuals.reduce((sum, r) => sum + Math.abs(r), 0);
      if (loss !== undefined && loss < best.loss) best = { power, noise, loss };
    }
  }
  return best;
}
