import { HildaError } from '../core/errors.js';
import type { Predictions, Views } from './contract.js';
import { type Matrix, rowsOf } from './design.js';
import { GaussianProcess } from './models/gaussian-process.js';
import { fitTable, tablePredictions } from './models/table-fit.js';
import { type ViewData, viewData } from './picker/view-data.js';
import { rejectBadSamples } from './samples.js';
import { conformalQuantile, kendall } from './statistics.js';

interface Model {
  readonly label: string;
  readonly view: ViewData;
  /** Logarithms for `places`, learnt from `rows`. */
  fit(rows: readonly number[]): (places: Matrix) => Float64Array;
}

interface Fitted {
  readonly view: ViewData;
  readonly label: string;
  readonly predict: (places: Matrix) => Float64Array;
  readonly quantile: number;
  readonly kendall: number;
}

/**
 * Predicts networks of a space that none was measured of, from networks of other spaces (ONNX-Net's task, with a ridge and a
 * table in place of its language model). What carries over is found by leaving out one space at a time: a model is as good
 * as it ranks the space it did not see. The interval is that of those left-out residuals.
 */
export class CrossSpacePredictor {
  #fitted: Fitted | undefined;

  /** `spaces[i]`: which space sample i is of; two at least. Throws SAMPLES_INVALID, PREDICTOR_UNFIT. */
  fit(samples: readonly Views[], values: readonly number[], spaces: readonly string[]): void {
    this.#fitted = undefined;
    rejectBadSamples(values);
    const names = [...new Set(spaces)];
    if (names.length < 2)
      throw new HildaError(
        'PREDICTOR_UNFIT',
        'prediction across spaces needs networks of two spaces at least',
      );
    const y = Float64Array.from(values);
    const logY = y.map(Math.log);
    const rowsOfSpace = names.map((name) => spaces.flatMap((space, i) => (space === name ? [i] : [])));
    const models = Object.keys(samples[0] as Views).flatMap((name) =>
      modelsOn(
        viewData(
          name,
          samples.map((views) => views[name] ?? new Map()),
        ),
        y,
        logY,
      ),
    );
    const tried = models.map((model) => {
      const held = new Float64Array(y.length);
      for (const out of rowsOfSpace) {
        const rows = spaces.flatMap((_, i) => (out.includes(i) ? [] : [i]));
        const predicted = model.fit(rows)(rowsOf(model.view.x, out));
        out.forEach((row, k) => {
          held[row] = predicted[k] as number;
        });
      }
      const taus = rowsOfSpace.map((rows) =>
        kendall(
          rows.map((row) => y[row] as number),
          rows.map((row) => held[row] as number),
        ),
      );
      return { model, held, tau: taus.reduce((sum, tau) => sum + tau, 0) / taus.length };
    });
    // The first view is the plainest: another must rank unseen spaces better by more than a hundredth.
    const best = tried.reduce((a, b) => (b.tau > a.tau + 0.01 ? b : a));
    const residuals = logY.map((value, i) => Math.abs(value - (best.held[i] as number)));
    const quantile = conformalQuantile(residuals, 0.9);
    this.#fitted = {
      view: best.model.view,
      label: best.model.label,
      predict: best.model.fit(spaces.map((_, i) => i)),
      quantile: Number.isFinite(quantile) ? quantile : 3 * Math.max(...residuals),
      kendall: best.tau,
    };
  }

  predict(samples: readonly Views[]): Predictions {
    const { view, predict, quantile } = this.#need();
    const logs = predict(view.design.matrix(samples.map((views) => views[view.name] ?? new Map())));
    return {
      mean: logs.map(Math.exp),
      low: logs.map((value) => Math.exp(value - quantile)),
      high: logs.map((value) => Math.exp(value + quantile)),
    };
  }

  /** The model chosen, and the mean Kendall's tau on spaces that it was not fitted to. */
  report(): { readonly model: string; readonly kendall: number } {
    const { label, kendall: tau } = this.#need();
    return { model: label, kendall: tau };
  }

  #need(): Fitted {
    if (!this.#fitted) throw new HildaError('PREDICTOR_UNFIT', 'the predictor was not fitted yet');
    return this.#fitted;
  }
}

function modelsOn(view: ViewData, y: Float64Array, logY: Float64Array): Model[] {
  const floor = 0.01 * Math.min(...y);
  return [
    {
      label: `table(${view.name})`,
      view,
      fit: (rows) => {
        const table = fitTable(view.x, y, rows, { penalty: 1e-2, shares: view.shares, loss: 'squares' });
        return (places) => tablePredictions(table, places).map((value) => Math.log(Math.max(value, floor)));
      },
    },
    {
      label: `gaussian(log ${view.name})`,
      view,
      fit: (rows) => {
        const process = GaussianProcess.fit(
          logarithms(rowsOf(view.x, rows)),
          Float64Array.from(rows, (row) => logY[row] as number),
        );
        return (places) => process?.predict(logarithms(places)) ?? new Float64Array(places.rows);
      },
    },
  ];
}

/** Sizes of spaces differ by orders of magnitude. */
const logarithms = (x: Matrix): Matrix => ({
  ...x,
  data: x.data.map((value) => Math.log1p(Math.max(0, value))),
});
