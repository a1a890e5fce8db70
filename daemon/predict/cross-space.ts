import { HildaError } from '../core/errors.js';
import type { Predictions, Views } from './contract.js';
import { type Matrix, rowsOf } from './design.js';
import { fitTable, tablePredictions } from './models/table-fit.js';
import { type ViewData, viewData } from './picker/view-data.js';
import { rejectBadSamples } from './samples.js';
import { conformalQuantile, kendall } from './statistics.js';

interface Model {
  readonly view: ViewData;
  /** Features that a network of the training spaces showed. */
  readonly known: ReadonlySet<string>;
  readonly predict: (places: Matrix) => Float64Array;
  /** 90 % quantile of the left-out residuals, in logarithms. */
  readonly quantile: number;
  readonly kendall: number;
}

/**
 * Predicts networks of a space that none was measured of, from networks of other spaces (ONNX-Net's task, with a table in
 * place of its language model). What carries over is found by leaving out one space at a time: a view is as good as it
 * ranks the space it did not see. A network with features that no training space had is answered from the plainest view,
 * since its new operators would cost nothing in a finer one. Tables alone: another space lies beyond the measured ones,
 * where a Gaussian process returns to its mean (tau 0.31 on vision transformers, where a table of totals has 0.83). The
 * interval is that of the left-out residuals.
 */
export class CrossSpacePredictor {
  #fitted: { readonly plainest: Model; readonly best: Model } | undefined;

  /**
   * `spaces[i]`: which space sample i is of; two at least. The first view is the plainest and present in every network.
   * Throws SAMPLES_INVALID, PREDICTOR_UNFIT.
   */
  fit(samples: readonly Views[], values: readonly number[], spaces: readonly string[]): void {
    this.#fitted = undefined;
    rejectBadSamples(values);
    if (new Set(spaces).size < 2)
      throw new HildaError(
        'PREDICTOR_UNFIT',
        'prediction across spaces needs networks of two spaces at least',
      );
    const models = Object.keys(samples[0] as Views).map((name) => {
      const features = samples.map((views) => views[name] ?? new Map<string, number>());
      return fitView(
        viewData(name, features),
        new Set(features.flatMap((f) => [...f.keys()])),
        values,
        spaces,
      );
    });
    const [plainest] = models as [Model];
    // Another view must rank unseen spaces better than a plainer one by more than a hundredth.
    const best = models.reduce((a, b) => (b.kendall > a.kendall + 0.01 ? b : a), plainest);
    this.#fitted = { plainest, best };
  }

  predict(samples: readonly Views[]): Predictions {
    const { plainest, best } = this.#need();
    const chosen = samples.map((views) =>
      [...(views[best.view.name] ?? [])].every(([name]) => best.known.has(name)) ? best : plainest,
    );
    const logs = chosen.map(
      ({ view, predict }, i) =>
        predict(view.design.matrix([samples[i]?.[view.name] ?? new Map()]))[0] as number,
    );
    const at = (side: number) =>
      Float64Array.from(logs, (log, i) => Math.exp(log + side * (chosen[i] as Model).quantile));
    return { mean: at(0), low: at(-1), high: at(1) };
  }

  /** The view chosen where its features are known, the one elsewhere, and the best's mean tau on left-out spaces. */
  report(): { readonly model: string; readonly elsewhere: string; readonly kendall: number } {
    const { plainest, best } = this.#need();
    return {
      model: `table(${best.view.name})`,
      elsewhere: `table(${plainest.view.name})`,
      kendall: best.kendall,
    };
  }

  #need(): { readonly plainest: Model; readonly best: Model } {
    if (!this.#fitted) throw new HildaError('PREDICTOR_UNFIT', 'the predictor was not fitted yet');
    return this.#fitted;
  }
}

function fitView(
  view: ViewData,
  known: ReadonlySet<string>,
  values: readonly number[],
  spaces: readonly string[],
): Model {
  const y = Float64Array.from(values);
  const floor = 0.01 * Math.min(...y);
  const fit = (rows: readonly number[]) => {
    const table = fitTable(view.x, y, rows, { penalty: 1e-2, shares: view.shares, loss: 'squares' });
    return (places: Matrix) =>
      tablePredictions(table, places).map((value) => Math.log(Math.max(value, floor)));
  };
  const residuals: number[] = [];
  const taus: number[] = [];
  for (const out of new Set(spaces)) {
    const [held, rest] = [true, false].map((is) =>
      spaces.flatMap((space, i) => ((space === out) === is ? [i] : [])),
    ) as [number[], number[]];
    const predicted = fit(rest)(rowsOf(view.x, held));
    const actual = held.map((row) => y[row] as number);
    residuals.push(...actual.map((value, k) => Math.abs(Math.log(value) - (predicted[k] as number))));
    taus.push(kendall(actual, [...predicted]));
  }
  const quantile = conformalQuantile(residuals, 0.9);
  return {
    view,
    known,
    predict: fit(spaces.map((_, i) => i)),
    quantile: Number.isFinite(quantile) ? quantile : 3 * Math.max(...residuals),
    kendall: taus.reduce((sum, tau) => sum + tau, 0) / taus.length,
  };
}
