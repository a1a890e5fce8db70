import { GrowingFactor } from './growing-factor.js';
import { type Kernel, kernelShapes, similarities } from './similarity.js';
import { evenly, spearman } from './statistics.js';
import { makeWarp, type Warp, type WarpName, warpNames } from './warp.js';

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
 * Williams 2006, equation 5.12). `factor` is that of the similarities with the noise on the diagonal.
 */
export function leaveOneOut(factor: GrowingFactor, y: readonly number[]): Solution {
  const centre = y.reduce((sum, v) => sum + v, 0) / y.length;
  const alpha = factor.solve(y.map((v) => v - centre));
  return { alpha, residuals: alpha.map((a, i) => a / factor.inverseAt(i)), centre };
}

/** Of n x n similarities, row major; undefined when they are not definite in double precision. */
function factorOf(matrix: Float64Array, n: number, noise: number): GrowingFactor | undefined {
  const factor = new GrowingFactor(n);
  const row = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    row.set(matrix.subarray(i * n, i * n + i + 1));
    row[i] = (row[i] as number) + noise;
    if (!factor.append(row)) return undefined;
  }
  return factor;
}

export interface Choice {
  readonly kernel: Kernel;
  readonly noise: number;
  readonly warp: WarpName;
}

/**
 * For every warp the kernel and noise with the least mean absolute residual (a few failed networks at the bottom must
 * not decide for the rest); among the warps the one whose held-out predictions rank the samples best. `distances` gives
 * the squared ones between the samples of these indices, row major.
 */
export function choose(distances: (chosen: readonly number[]) => Float64Array, y: readonly number[]): Choice {
  const chosen = evenly(y.length, selectionSamples);
  const n = chosen.length;
  const part = distances(chosen);
  const target = chosen.map((i) => y[i] as number);
  const mean = part.reduce((sum, d) => sum + d, 0) / part.length || 1;
  const fallback = { kernel: { shape: 'gaussian', rate: 0.3 / mean }, noise: 0.1 } as const;
  const contenders = warpNames.flatMap((name): Contender[] => {
    // The warp is learnt from all samples; its scores on the chosen ones then cover the same range.
    const warp = makeWarp(name, y);
    return warp
      ? [
          {
            warp,
            z: target.map(warp.forward),
            loss: Number.POSITIVE_INFINITY,
            best: fallback,
            rank: -1,
          },
        ]
      : [];
  });
  const close = new Float64Array(part.length);
  for (const kernel of kernels(mean)) {
    similarities(kernel, part, close);
    for (const noise of noises) {
      const factor = factorOf(close, n, noise);
      if (factor) compare(contenders, factor, { kernel, noise });
    }
  }
  const winner = contenders.reduce((best, next) => (next.rank > best.rank + warpMargin ? next : best));
  return { ...winner.best, warp: winner.warp.name };
}

interface Contender {
  readonly warp: Warp;
  readonly z: readonly number[];
  loss: number;
  best: Pick<Choice, 'kernel' | 'noise'>;
  rank: number;
}

function compare(contenders: readonly Contender[], factor: GrowingFactor, option: Contender['best']): void {
  for (const contender of contenders) {
    const { residuals } = leaveOneOut(factor, contender.z);
    const loss = residuals.reduce((sum, r) => sum + Math.abs(r), 0);
    if (!(loss < contender.loss)) continue;
    contender.loss = loss;
    contender.best = option;
    contender.rank = spearman(
      contender.z,
      contender.z.map((value, i) => value - (residuals[i] as number)),
    );
  }
}

/** `mean`: of the squared distances. */
function* kernels(mean: number): Generator<Kernel> {
  for (const shape of kernelShapes) for (const rate of rates) yield { shape, rate: rate / mean };
}
