import { HildaError } from '../core/errors.js';
import type { Json } from '../core/json.js';
import type { Features, Predictions, Predictor, PredictorScore, Views } from './contract.js';
import type { Matrix } from './design.js';
import { evidenceWeights } from './evidence-weights.js';
import type { FittedCandidate, Places } from './picker/candidate.js';
import { mostInformative, type Rows } from './picker/informative.js';
import { Leverage } from './picker/leverage.js';
import type { CostModel } from './picker/other-models.js';
import { average, type Pick, pick } from './picker/pick.js';
import { type ViewData, viewData } from './picker/view-data.js';
import { rejectBadSamples } from './samples.js';
import { scorePredictions } from './score.js';
import { conformalQuantile } from './statistics.js';

/** Below so many samples a 90 % interval rests on one or two residuals: it is wide, and says so. */
export const calibratedSamples = 20;
/** Weights closer to 1 than this change nothing that could be told from chance. */
const evenWeight = 0.8;
/** An interval from samples that all agree exactly would claim certainty. */
const leastHalfWidth = 0.05;

interface FittedPick {
  readonly samples: readonly Views[];
  readonly y: readonly number[];
  readonly deviations: readonly number[];
  readonly views: readonly ViewData[];
  readonly pick: Pick;
  readonly fitted: readonly FittedCandidate[];
  /** The view in which distances are taken. */
  readonly near: ViewData;
  readonly leverage: Leverage;
  /** 90 % quantile of held-out |log error| over its scale. */
  readonly quantile: number;
  readonly score: PredictorScore;
}

/** What was chosen, and over what. */
export interface PickReport {
  readonly model: string;
  /** The view of the table it builds on. */
  readonly transform: string;
  /** Mean absolute held-out logarithm of predicted over measured, by candidate. */
  readonly candidates: Readonly<Record<string, number>>;
}

/**
 * Predicts a cost (latency, bytes) from several views of a network, choosing view and model by cross-validation. The
 * interval is conformal over held-out residuals (CV+, Barber et al. 2021, in its symmetric form, on the logarithm), in
 * units of sqrt(1 + leverage): wider away from what was measured, and wider by the share of features never seen.
 */
export class PickedPredictor implements Predictor<Views> {
  readonly name = 'picked';
  readonly minimumSamples = 5;
  readonly #models: readonly CostModel[];
  #fitted: FittedPick | undefined;

  /** `models` compete with those of this folder. */
  constructor(models: readonly CostModel[] = []) {
    this.#models = models;
  }

  /** With weights where some samples were measured less exactly than most: see `evidenceWeights`. */
  fit(samples: readonly Views[], values: readonly number[], deviations: readonly number[] = []): void {
    this.#fitted = undefined;
    rejectBadSamples(values);
    if (samples.length < this.minimumSamples) {
      throw new HildaError(
        'PREDICTOR_UNFIT',
        `a predictor needs ${this.minimumSamples} valid measurements, not ${samples.length}`,
      );
    }
    const y = Float64Array.from(values);
    const views = Object.keys(samples[0] as Views).map((name) =>
      viewData(
        name,
        samples.map((sample) => sample[name] ?? none),
      ),
    );
    const logY = y.map(Math.log);
    const even = new Float64Array(y.length).fill(1);
    const first = pick(views, { y, logY, weights: even }, this.#models);
    const weights =
      deviations.length === 0
        ? even
        : evidenceWeights(
            deviations,
            logY.map((value, i) => value - (first.held[i] as number)),
          );
    const isEven = weights.every((weight) => weight > evenWeight);
    const chosen = isEven ? first : pick(views, { y, logY, weights }, this.#models);
    const near = views.find(({ name }) => name === chosen.members[0]?.views[0]) as ViewData;
    const leverage = new Leverage(near.x, y);
    // A sample of less weight lies further off by its own error, which the interval of a prediction does not hold.
    const scales = leverage
      .heldOut(near.x, y)
      .map((h, i) => Math.sqrt((1 + h) / (isEven ? 1 : (weights[i] as number))));
    const ratios = y.map(
      (_, i) => Math.abs((logY[i] as number) - (chosen.held[i] as number)) / (scales[i] as number),
    );
    const exact = conformalQuantile(ratios, 0.9);
    const quantile = Number.isFinite(exact) ? exact : 3 * Math.max(...ratios);
    this.#fitted = {
      samples,
      y: values,
      deviations,
      views,
      pick: chosen,
      fitted: chosen.members.map((member) => member.build()),
      near,
      leverage,
      quantile: quantile > 1e-9 ? quantile : leastHalfWidth,
      score: scorePredictions(
        values,
        [...chosen.held].map(Math.exp),
        [...ratios].map((ratio) => ratio <= quantile),
      ),
    };
  }

  predict(samples: readonly Views[]): Predictions {
    const { views, fitted, pick: chosen, near, leverage, quantile } = this.#need();
    const read = new Set(chosen.members.flatMap((member) => member.views));
    const places: Places = new Map(
      views
        .filter(({ name }) => read.has(name))
        .map(({ name, design }) => [name, design.matrix(samples.map((sample) => sample[name] ?? none))]),
    );
    const logs = average(fitted.map((member) => member.predictLog(places)));
    const mean = logs.map(Math.exp);
    const distance = leverage.of(places.get(near.name) as Matrix, mean);
    const half = distance.map(
      (h, i) =>
        quantile * Math.sqrt(1 + h) * (1 + 2 * near.design.unseenShare(samples[i]?.[near.name] ?? none)),
    );
    return {
      mean,
      low: mean.map((value, i) => value * Math.exp(-(half[i] as number))),
      high: mean.map((value, i) => value * Math.exp(half[i] as number)),
    };
  }

  /** Which of `samples` to measure next for the least error over all of them; indices, best first. */
  mostInformative(samples: readonly Views[], n: number): number[] {
    const { views, y, near } = this.#need();
    const costs = this.predict(samples).mean;
    const rowsOf = ({ name, x, design }: ViewData): Rows => ({
      samples: relativeRows(x, y),
      places: relativeRows(design.matrix(samples.map((sample) => sample[name] ?? none)), costs),
    });
    // What the present view leaves over is told by the richest one.
    const richest = views.reduce((a, b) => (b.x.columns > a.x.columns ? b : a));
    return mostInformative(rowsOf(near), richest === near ? undefined : rowsOf(richest), n);
  }

  score(): PredictorScore {
    return this.#need().score;
  }

  report(): PickReport {
    const { pick: chosen } = this.#need();
    return {
      model: chosen.label,
      transform: chosen.members[0]?.views[0] ?? '',
      candidates: Object.fromEntries(chosen.losses),
    };
  }

  /** Predictions for the samples of the fit from models that did not see them. */
  heldOut(): readonly number[] {
    return [...this.#need().pick.held].map(Math.exp);
  }

  state(): Json {
    if (!this.#fitted) return null;
    return {
      x: this.#fitted.samples.map((views) =>
        Object.fromEntries(Object.entries(views).map(([name, features]) => [name, [...features]])),
      ),
      y: this.#fitted.y,
      ...(this.#fitted.deviations.length > 0 && { deviations: this.#fitted.deviations }),
    } as unknown as Json;
  }

  /** Fits again: equal data give the equal model. Throws PREDICTOR_CORRUPT. */
  restore(state: Json): void {
    this.#fitted = undefined;
    if (state === null) return;
    const { samples, values, deviations } = readState(state);
    this.fit(samples, values, deviations);
  }

  #need(): FittedPick {
    if (!this.#fitted) throw new HildaError('PREDICTOR_UNFIT', 'the predictor was not fitted yet');
    return this.#fitted;
  }
}

const none: Features = new Map();

/** (1, x) / cost: what a linear model of relative errors sees of each network. */
const relativeRows = (x: Matrix, costs: ArrayLike<number>): Float64Array[] =>
  Array.from({ length: x.rows }, (_, i) =>
    Float64Array.from(
      { length: x.columns + 1 },
      (_, j) => (j === 0 ? 1 : (x.data[i * x.columns + j - 1] as number)) / (costs[i] as number),
    ),
  );

interface StoredSamples {
  readonly x: Record<string, [string, number][]>[];
  readonly y: number[];
  readonly deviations?: number[];
}

function readState(state: Json): {
  readonly samples: Views[];
  readonly values: number[];
  readonly deviations: number[];
} {
  try {
    const { x, y, deviations = [] } = state as unknown as StoredSamples;
    const samples = x.map((views) =>
      Object.fromEntries(Object.entries(views).map(([name, entries]) => [name, new Map(entries)])),
    );
    const sound = samples.every((views) =>
      Object.values(views).every((features) =>
        [...features].every(([name, value]) => typeof name === 'string' && Number.isFinite(value)),
      ),
    );
    const fits = (list: readonly number[]): boolean => Array.isArray(list) && list.length === samples.length;
    if (!sound || !fits(y) || !(deviations.length === 0 || fits(deviations)))
      throw new TypeError('wrong shape');
    return { samples, values: y, deviations };
  } catch (cause) {
    throw new HildaError('PREDICTOR_CORRUPT', 'the stored predictor cannot be read', {
      cause,
      hint: 'Train it again: `hilda predictor train`.',
    });
  }
}
