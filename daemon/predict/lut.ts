import { HildaError } from '../core/errors.js';
import type { Json } from '../core/json.js';
import type { Features, Predictions, Predictor, PredictorScore } from './contract.js';
import { nonNegativeLeastSquares } from './non-negative-least-squares.js';
import { scorePredictions } from './score.js';
import { conformalQuantile } from './statistics.js';

const folds = 10;
const penalties = [1e-3, 1e-2, 1e-1];
/** The roofline's terms: their weights carry the prediction where an operator was hardly ever measured. */
const rooflineFeatures = new Set(['', 'macs', 'bytesMoved']);
const rooflinePenaltyShare = 0.05;

interface Model {
  readonly names: readonly string[];
  readonly weights: readonly number[];
}

interface FittedLut {
  readonly model: Model;
  /** 90 % quantile of |measured - predicted| / predicted over held-out samples. */
  readonly relativeError: number;
  readonly score: PredictorScore;
}

/**
 * A look-up table learnt from whole networks: cost = constant + sum of counts times non-negative weights, with MACs and
 * bytes moved as further counts (the roofline's terms, Williams et al. 2009). Minimises the relative error
 * sum_i (prediction_i / y_i - 1)^2 plus a ridge penalty that weighs on the operators' own weights and hardly on the
 * roofline's, so that rare operators fall back to it. The penalty is chosen by cross-validation. The interval is
 * conformal over the relative residuals of 10-fold cross-validation (CV+, Barber et al. 2021, in its symmetric form),
 * and wider by the share of operators that were never seen.
 */
export class LutPredictor implements Predictor {
  readonly name = 'lut';
  readonly minimumSamples = 10;
  #fitted: FittedLut | undefined;

  fit(x: readonly Features[], y: readonly number[]): void {
    const rows = x.flatMap((features, i) =>
      (y[i] as number) > 0 && Number.isFinite(y[i]) ? [{ features, y: y[i] as number }] : [],
    );
    if (rows.length < this.minimumSamples) {
      throw new HildaError(
        'PREDICTOR_UNFIT',
        `lut needs ${this.minimumSamples} positive measurements, not ${rows.length}`,
      );
    }
    const trials = penalties.map((penalty) => ({ penalty, held: crossValidate(rows, penalty) }));
    const loss = (held: readonly number[]): number =>
      held.reduce((sum, p, i) => sum + Math.abs(p / (rows[i]?.y as number) - 1), 0);
    const best = trials.reduce((a, b) => (loss(b.held) < loss(a.held) ? b : a));
    const measured = rows.map((row) => row.y);
    const errors = best.held.map((p, i) => Math.abs((measured[i] as number) - p) / Math.max(p, 1e-12));
    const quantile = conformalQuantile(errors, 0.9);
    const relativeError = Number.isFinite(quantile) ? quantile : 2 * Math.max(...errors);
    this.#fitted = {
      model: solve(rows, best.penalty),
      relativeError,
      score: scorePredictions(
        measured,
        best.held,
        errors.map((e) => e <= relativeError),
      ),
    };
  }

  predict(x: readonly Features[]): Predictions {
    const { model, relativeError } = this.#need();
    const table = new Map(model.names.map((name, j) => [name, model.weights[j] as number]));
    const mean = new Float64Array(x.length);
    const low = new Float64Array(x.length);
    const high = new Float64Array(x.length);
    x.forEach((features, i) => {
      let unseen = 0;
      let cost = table.get('') ?? 0;
      for (const [name, count] of features) {
        const weight = table.get(name);
        if (weight === undefined) unseen++;
        else cost += weight * count;
      }
      const error = relativeError * (1 + (2 * unseen) / Math.max(1, features.size));
      mean[i] = cost;
      low[i] = Math.max(0, cost * (1 - error));
      high[i] = cost * (1 + error);
    });
    return { mean, low, high };
  }

  score(): PredictorScore {
    return this.#need().score;
  }

  /** Cost of one unit of each feature, in the metric's unit; `''` is the constant. */
  table(): ReadonlyMap<string, number> {
    const { model } = this.#need();
    return new Map(model.names.map((name, j) => [name, model.weights[j] as number]));
  }

  state(): Json {
    return (this.#fitted ?? null) as unknown as Json;
  }

  restore(state: Json): void {
    this.#fitted = state === null ? undefined : (state as unknown as FittedLut);
  }

  #need(): FittedLut {
    if (!this.#fitted) throw new HildaError('PREDICTOR_UNFIT', 'the lut predictor was not fitted yet');
    return this.#fitted;
  }
}

interface Row {
  readonly features: Features;
  readonly y: number;
}

function solve(rows: readonly Row[], penalty: number): Model {
  const index = new Map<string, number>([['', 0]]);
  for (const { features } of rows)
    for (const name of features.keys()) if (!index.has(name)) index.set(name, index.size);
  const p = index.size;
  const entries = rows.map(({ features, y }) => {
    const list: [number, number][] = [[0, 1 / y]];
    for (const [name, count] of features) list.push([index.get(name) as number, count / y]);
    return list;
  });
  // Columns are scaled to unit length: one penalty then fits counts of 1 and MACs of 1e9 alike.
  const scale = new Float64Array(p);
  for (const list of entries) for (const [j, v] of list) scale[j] = (scale[j] as number) + v * v;
  for (let j = 0; j < p; j++) scale[j] = Math.sqrt((scale[j] as number) / rows.length) || 1;
  const gram = new Float64Array(p * p);
  const b = new Float64Array(p);
  for (const list of entries) {
    for (const [j, v] of list) {
      const vj = v / (scale[j] as number);
      b[j] = (b[j] as number) + vj / rows.length;
      for (const [k, u] of list)
        gram[j * p + k] = (gram[j * p + k] as number) + (vj * u) / (scale[k] as number) / rows.length;
    }
  }
  for (const [name, j] of index) {
    gram[j * p + j] =
      (gram[j * p + j] as number) +
      (penalty * (rooflineFeatures.has(name) ? rooflinePenaltyShare : 1)) / Math.sqrt(rows.length);
  }
  const weights = nonNegativeLeastSquares(gram, b, 300);
  return { names: [...index.keys()], weights: [...weights].map((w, j) => w / (scale[j] as number)) };
}

/** Predictions for every row from models that did not see it. */
function crossValidate(rows: readonly Row[], penalty: number): number[] {
  const held = rows.map(() => 0);
  for (let fold = 0; fold < folds; fold++) {
    const model = solve(
      rows.filter((_, i) => i % folds !== fold),
      penalty,
    );
    const table = new Map(model.names.map((name, j) => [name, model.weights[j] as number]));
    for (let i = fold; i < rows.length; i += folds) {
      let cost = table.get('') ?? 0;
      for (const [name, count] of rows[i]?.features ?? []) cost += (table.get(name) ?? 0) * count;
      held[i] = cost;
    }
  }
  return held;
}
