import { HildaError } from '../core/errors.js';
import type { Json } from '../core/json.js';
import type { Features, Predictions, Predictor, PredictorScore } from './contract.js';
import { choose, distanceMatrix, leaveOneOut } from './leave-one-out.js';
import { NearestVariance } from './nearest-variance.js';
import { scorePredictions } from './score.js';
import { FeatureMap, type Kernel, type SparseVector, similarity, squaredDistances } from './similarity.js';
import { conformalQuantile } from './statistics.js';
import type { Warp } from './warp.js';

/** Fitting is cubic in the samples: of more than these, the newest half of the budget and an even draw of the rest. */
const maxSamples = 800;

interface FittedRidge {
  readonly samples: readonly Features[];
  readonly y: readonly number[];
  readonly map: FeatureMap;
  readonly vectors: readonly SparseVector[];
  readonly kernel: Kernel;
  readonly warp: Warp;
  readonly alpha: Float64Array;
  readonly centre: number;
  readonly variance: NearestVariance;
  /** 90 % quantile of held-out |residual| / standard deviation, on the warped scale. */
  readonly quantile: number;
  readonly score: PredictorScore;
}

/**
 * Kernel ridge regression on any features, one-hot decisions above all, over the distance between samples. Shape,
 * length scale, noise and the warp of the metric are chosen by leave-one-out on the samples themselves. The interval is
 * the jackknife's (Barber et al. 2021) in units of the local standard deviation, on the warped scale: it is wider far
 * from what was measured and need not be symmetric.
 */
export class RidgePredictor implements Predictor {
  readonly name = 'ridge';
  readonly minimumSamples = 10;
  #fitted: FittedRidge | undefined;

  fit(allSamples: readonly Features[], values: readonly number[]): void {
    if (allSamples.length < this.minimumSamples || !values.every(Number.isFinite)) {
      throw new HildaError(
        'PREDICTOR_UNFIT',
        `ridge needs ${this.minimumSamples} finite values, not ${allSamples.length}`,
      );
    }
    const kept = keptSamples(values.length);
    const samples = kept.map((i) => allSamples[i] as Features);
    const y = kept.map((i) => values[i] as number);
    const map = new FeatureMap(samples);
    const vectors = samples.map((features) => map.vector(features));
    const distances = distanceMatrix(vectors, map.size);
    const { kernel, noise, warp } = choose(distances, y);
    const z = y.map(warp.forward);
    const similarities = distances.map((d) => similarity(kernel, d));
    const solved = leaveOneOut(similarities, z, noise);
    if (!solved) throw new HildaError('PREDICTOR_UNFIT', 'the samples do not determine a ridge model');
    const variance = new NearestVariance(similarities, y.length, noise);
    const ratios = z.map((_, i) => {
      const row = similarities.subarray(i * y.length, (i + 1) * y.length);
      return Math.abs(solved.residuals[i] as number) / Math.sqrt(variance.at(row, i));
    });
    const exact = conformalQuantile(ratios, 0.9);
    const quantile = Number.isFinite(exact) ? exact : 2 * Math.max(...ratios);
    this.#fitted = {
      samples,
      y,
      map,
      vectors,
      kernel,
      warp,
      alpha: solved.alpha,
      centre: solved.centre,
      variance,
      quantile,
      score: scorePredictions(
        y,
        z.map((value, i) => warp.inverse(value - (solved.residuals[i] as number))),
        ratios.map((ratio) => ratio <= quantile),
      ),
    };
  }

  predict(x: readonly Features[]): Predictions {
    const { map, vectors, kernel, warp, alpha, centre, variance, quantile } = this.#need();
    const mean = new Float64Array(x.length);
    const low = new Float64Array(x.length);
    const high = new Float64Array(x.length);
    const scratch = new Float64Array(map.size);
    const row = new Float64Array(vectors.length);
    x.forEach((features, i) => {
      squaredDistances(map.vector(features), vectors, scratch, row);
      let z = centre;
      for (let j = 0; j < row.length; j++) {
        const value = similarity(kernel, row[j] as number);
        row[j] = value;
        z += (alpha[j] as number) * value;
      }
      const half = quantile * Math.sqrt(variance.at(row));
      mean[i] = warp.inverse(z);
      low[i] = warp.inverse(z - half);
      high[i] = warp.inverse(z + half);
    });
    return { mean, low, high };
  }

  score(): PredictorScore {
    return this.#need().score;
  }

  state(): Json {
    if (!this.#fitted) return null;
    return { x: this.#fitted.samples.map((features) => [...features]), y: this.#fitted.y };
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

function keptSamples(count: number): number[] {
  const all = Array.from({ length: count }, (_, i) => i);
  if (count <= maxSamples) return all;
  const newest = count - maxSamples / 2;
  const stride = newest / (maxSamples / 2);
  return [...Array.from({ length: maxSamples / 2 }, (_, i) => Math.floor(i * stride)), ...all.slice(newest)];
}
