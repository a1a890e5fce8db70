import type { Json } from '../core/json.js';

/** A sparse, named vector: operator and shape -> count, or decision -> 1. */
export type Features = ReadonlyMap<string, number>;

/**
 * Several descriptions of one network, by name, the likeliest first: the operators that a runtime executes, the same by
 * type, the decisions. Which one a target's cost follows is chosen by cross-validation.
 */
export type Views = Readonly<Record<string, Features>>;

/** Cross-validated on the data the predictor was fitted to. */
export interface PredictorScore {
  readonly n: number;
  readonly spearman: number;
  readonly kendall: number;
  /** Mean absolute percentage error, in percent. */
  readonly mape: number;
  /** Share of predictions within 10 % of the measurement, 0 to 1. */
  readonly within10: number;
  /** Share of measurements inside their interval, 0 to 1; the intervals aim at 0.9. */
  readonly coverage: number;
}

export interface Predictions {
  readonly mean: Float64Array;
  /** 90 % interval. */
  readonly low: Float64Array;
  readonly high: Float64Array;
}

/**
 * Learns one metric of one target from its measurements.
 *
 * - `fit` replaces what was learnt before. It throws PREDICTOR_UNFIT below `minimumSamples`.
 * - `predict` and `score` throw PREDICTOR_UNFIT before the first fit. Features never seen in fitting are allowed:
 *   the interval widens.
 * - Deterministic: equal data, in equal order, give equal answers.
 */
export interface Predictor<X = Features> {
  readonly name: string;
  readonly minimumSamples: number;
  fit(x: readonly X[], y: readonly number[]): void;
  predict(x: readonly X[]): Predictions;
  score(): PredictorScore;
  /** The fitted model as data, for the store and for export. */
  state(): Json;
  restore(state: Json): void;
}
