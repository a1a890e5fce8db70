import { invertDefinite } from './linear-algebra.js';
import { type Kernel, kernelShapes, type SparseVector, similarity, squaredDistances } from './similarity.js';
import { evenly, spearman } from './statistics.js';
import { makeWarp, type Warp, warpNames } from './warp.js';

/** In units of the inverse mean squared distance between samples. */
const rates = [0.03, 0.1, 0.3, 1, 3];
const noises = [0.001, 0.01, 0.1];
/** Hyper-parameters are chosen on at most so many samples: the cost is cubic. */
const selectionSamples = 110;
/** A warp must raise the held-out rank correlation by so much over a plainer one. */
const warpMargin = 0.002;

export interface Solution {
  readonly alpha: Float64Array;
  readonly residuals: Float64Array;
  readonly centre: number;
}

/**
 * Kernel ridge regression with the leave-one-out residuals in closed form, r_i = (K^-1 y)_i / (K^-1)_ii (Rasmussen and
 * Williams 2006, equation 5.12). `similarities` is n x n, row major, with ones on the diagonal.
 */
export function leaveOneOut(
  similarities: Float64Array,
  y: readonly number[],
  noise: number,
): Solution | undefined {
  const inverse = regularisedInverse(similarities, y.length, noise);
  return inverse && solutionOf(inverse, y);
}

function regularisedInverse(similarities: Float64Array, n: number, noise: number): Float64Array | undefined {
  const matrix = Float64Array.from(similarities);
  for (let i = 0; i < n; i++) matrix[i * n + i] = (matrix[i * n + i] as number) + noise;
  return invertDefinite(matrix, n);
}

function solutionOf(inverse: Float64Array, y: readonly number[]): Solution {
  const n = y.length;
  const centre = y.reduce((sum, v) => sum + v, 0) / n;
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

export function distanceMatrix(vectors: readonly SparseVector[], features: number): Float64Array {
  const n = vectors.length;
  const out = new Float64Array(n * n);
  const scratch = new Float64Array(features);
  vectors.forEach((vector, i) => {
    squaredDistances(vector, vectors, scratch, out.subarray(i * n, (i + 1) * n));
  });
  return out;
}

export interface Choice {
  readonly kernel: Kernel;
  readonly noise: number;
  readonly warp: Warp;
}

/**
 * For every warp the kernel and noise with the least mean absolute residual (a few failed networks at the bottom must
 * not decide for the rest); among the warps the one whose held-out predictions rank the samples best.
 */
export function choose(distances: Float64Array, y: readonly number[]): Choice {
  const chosen = evenly(y.length, selectionSamples);
  const n = chosen.length;
  const part = new Float64Array(n * n);
  chosen.forEach((row, i) => {
    chosen.forEach((column, j) => {
      part[i * n + j] = distances[row * y.length + column] as number;
    });
  });
  const target = chosen.map((i) => y[i] as number);
  const contenders = warpNames.flatMap((name) => {
    // The warp is learnt from all samples; its scores on the chosen ones then cover the same range.
    const warp = makeWarp(name, y);
    return warp
      ? [
          {
            warp,
            z: target.map(warp.forward),
            loss: Number.POSITIVE_INFINITY,
            best: fallback(part),
            rank: -1,
          },
        ]
      : [];
  });
  for (const { kernel, noise } of grid(part)) {
    const inverse = regularisedInverse(
      part.map((d) => similarity(kernel, d)),
      n,
      noise,
    );
    if (!inverse) continue;
    for (const contender of contenders) {
      const { residuals } = solutionOf(inverse, contender.z);
      const loss = residuals.reduce((sum, r) => sum + Math.abs(r), 0);
      if (!(loss < contender.loss)) continue;
      contender.loss = loss;
      contender.best = { kernel, noise };
      contender.rank = spearman(
        contender.z,
        contender.z.map((value, i) => value - (residuals[i] as number)),
      );
    }
  }
  const winner = contenders.reduce((best, next) => (next.rank > best.rank + warpMargin ? next : best));
  return { ...winner.best, warp: winner.warp };
}

function* grid(distances: Float64Array): Generator<{ kernel: Kernel; noise: number }> {
  const mean = distances.reduce((sum, d) => sum + d, 0) / distances.length || 1;
  for (const shape of kernelShapes)
    for (const rate of rates)
      for (const noise of noises) yield { kernel: { shape, rate: rate / mean }, noise };
}

const fallback = (distances: Float64Array): { kernel: Kernel; noise: number } => {
  const mean = distances.reduce((sum, d) => sum + d, 0) / distances.length || 1;
  return { kernel: { shape: 'gaussian', rate: 0.3 / mean }, noise: 0.1 };
};
