import { HildaError } from '../core/errors.js';
import type { Json } from '../core/json.js';
import type { Features, Predictions, Predictor, PredictorScore } from './contract.js';
import { choicesADoubling, KernelSystem } from './kernel-system.js';
import { leaveOneOut } from './leave-one-out.js';
import { milestone } from './milestone.js';
import { scorePredictions } from './score.js';
import { conformalQuantile } from './statistics.js';
import { makeWarp, type Warp } from './warp.js';

interface FittedRidge {
  readonly samples: readonly Features[];
  readonly y: readonly number[];
  readonly system: KernelSystem;
  readonly warp: Warp;
  readonly alpha: Float64Array;
  readonly centre: number;
  /** 90 % quantile of held-out |residual| / standard deviation, on the warped scale. */
  readonly quantile: number;
  readonly score: () => PredictorScore;
}

/**
 * Kernel ridge regression on any features, one-hot decisions above all, over the distance between samples. Shape,
 * length scale, noise and the warp of the metric are chosen by leave-one-out on the samples themselves, anew at each
 * milestone of their number; what comes between is learnt by the kernel chosen last. The interval is
 * the jackknife's (Barber et al. 2021) in units of the local standard deviation, on the warped scale: it is wider far
 * from what was measured and need not be symmetric. A fit that continues the last one, with samples added behind, costs the
 * square of their number instead of the cube, and says the same as one from the start.
 */
export class RidgePredictor implements Predictor {
  readonly name = 'ridge';
  readonly minimumSamples = 10;
  #system: KernelSystem | undefined;
  #fitted: FittedRidge | undefined;

  fit(samples: readonly Features[], values: readonly number[]): void {
    if (samples.length < this.minimumSamples || !values.every(Number.isFinite)) {
      throw new HildaError(
        'PREDICTOR_UNFIT',
        `ridge needs ${this.minimumSamples} finite values, not ${samples.length}`,
      );
    }
    this.#fitted = undefined;
    const first = Math.max(this.minimumSamples, milestone(values.length, choicesADoubling));
    const system = this.#system?.startsWith(samples, values, first)
      ? this.#system
      : new KernelSystem(samples.slice(0, first), values.slice(0, first));
    this.#system = undefined;
    system.extend(samples);
    this.#system = system;
    const y = system.kept.map((i) => values[i] as number);
    // A first accuracy of 0 admits no logarithm; what was chosen before must give way.
    const warp = makeWarp(system.warp, y) ?? (makeWarp('identity', y) as Warp);
    const z = y.map(warp.forward);
    const { alpha, residuals, centre } = leaveOneOut(system.factor, z);
    const ratios = z.map((_, i) => Math.abs(residuals[i] as number) / Math.sqrt(system.varianceOfSample(i)));
    const exact = conformalQuantile(ratios, 0.9);
    const quantile = Number.isFinite(exact) ? exact : 2 * Math.max(...ratios);
    this.#fitted = {
      samples: [...samples],
      y: [...values],
      system,
      warp,
      alpha,
      centre,
      quantile,
      score: () =>
        scorePredictions(
          y,
          z.map((value, i) => warp.inverse(value - (residuals[i] as number))),
          ratios.map((ratio) => ratio <= quantile),
        ),
    };
  }

  predict(x: readonly Features[]): Predictions {
    const { system, warp, alpha, centre, quantile } = this.#need();
    const mean = new Float64Array(x.length);
    const low = new Float64Array(x.length);
    const high = new Float64Array(x.length);
    const row = new Float64Array(alpha.length);
    x.forEach((features, i) => {
      system.similaritiesTo(features, row);
      let z = centre;
      for (let j = 0; j < row.length; j++) z += (alpha[j] as number) * (row[j] as number);
      const half = quantile * Math.sqrt(system.varianceAt(row));
      mean[i] = warp.inverse(z);
      low[i] = warp.inverse(z - half);
      high[i] = warp.inverse(z + half);
    });
    return { mean, low, high };
  }

  score(): PredictorScore {
    return this.#need().score();
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
