import type { Architecture } from '../core/architecture.js';
import { PickedPredictor } from '../predict/picked.js';
import { scorePredictions } from '../predict/score.js';
import { evenly } from '../predict/statistics.js';
import { costViews } from '../search/spaces/parts/cost-views.js';
import type { StoredPredictor } from './stored-predictor.js';

export interface PredictorFigures {
  /** Each sample as predicted by models that did not see it. */
  readonly pairs: readonly { readonly measured: number; readonly predicted: number; readonly macs: number }[];
  /** Log residual (measured over predicted) by operator type that the network leans on most, by share of MACs. */
  readonly residualsByType: readonly { readonly type: string; readonly n: number; readonly median: number }[];
  /** Share of samples within the interval of each nominal level. */
  readonly reliability: readonly { readonly nominal: number; readonly actual: number }[];
  /** Error on the samples held back, by how many were learnt from. */
  readonly learningCurve: readonly { readonly n: number; readonly mape: number; readonly spearman: number }[];
}

const nominalLevels = [0.5, 0.6, 0.7, 0.8, 0.9, 0.95];
/** The last third is held back for the learning curve. */
const heldBackShare = 1 / 3;

/** What a page draws of a predictor, from its own samples alone. */
export function predictorFigures(predictor: StoredPredictor): PredictorFigures {
  const { space } = predictor;
  const predicted = predictor.heldOut();
  // Of a table alone there is nothing to draw yet.
  const samples = predicted.length > 0 ? predictor.body.samples : [];
  const architectures = samples.map(({ architecture }) => architecture as Architecture);
  const measured = samples.map(({ value }) => value);
  const logs = measured.map((value, i) => Math.log(value / (predicted[i] as number)));
  const pairs = measured.map((value, i) => ({
    measured: value,
    predicted: predicted[i] as number,
    macs: space.stats(architectures[i] as Architecture).macs,
  }));
  return {
    pairs,
    residualsByType: residualsByType(predictor, architectures, logs),
    reliability: reliability(logs),
    learningCurve: learningCurve(predictor, architectures, measured),
  };
}

function residualsByType(
  { space }: StoredPredictor,
  architectures: readonly Architecture[],
  logs: readonly number[],
): PredictorFigures['residualsByType'] {
  const groups = new Map<string, number[]>();
  architectures.forEach((architecture, i) => {
    const types = costViews(space, architecture).types ?? new Map<string, number>();
    const [leading] = [...types].filter(([name]) => name.endsWith(' macs')).sort(([, a], [, b]) => b - a);
    const type = leading ? leading[0].slice(0, -' macs'.length) : 'other';
    groups.set(type, [...(groups.get(type) ?? []), logs[i] as number]);
  });
  return [...groups].map(([type, values]) => ({
    type,
    n: values.length,
    median: [...values].sort((a, b) => a - b)[values.length >> 1] as number,
  }));
}

/** Each sample against the quantile of the others' residuals. */
function reliability(logs: readonly number[]): PredictorFigures['reliability'] {
  if (logs.length === 0) return [];
  const sizes = logs.map(Math.abs);
  return nominalLevels.map((nominal) => {
    const inside = sizes.filter((size, i) => {
      const others = sizes.filter((_, j) => j !== i).sort((a, b) => a - b);
      const rank = Math.min(others.length, Math.ceil(nominal * (others.length + 1)));
      return size <= (others[rank - 1] ?? Number.POSITIVE_INFINITY);
    }).length;
    return { nominal, actual: inside / sizes.length };
  });
}

function learningCurve(
  { space }: StoredPredictor,
  architectures: readonly Architecture[],
  measured: readonly number[],
): PredictorFigures['learningCurve'] {
  const views = architectures.map((a) => costViews(space, a));
  const known = measured.length - Math.floor(measured.length * heldBackShare);
  const test = measured.slice(known);
  if (test.length < 3) return [];
  const sizes = [5, 10, 20, 30, 50, 100, 200].filter((n) => n < known);
  return [...sizes, known].flatMap((n) => {
    const model = new PickedPredictor();
    if (n < model.minimumSamples) return [];
    const rows = evenly(known, n);
    model.fit(
      rows.map((i) => views[i] as (typeof views)[number]),
      rows.map((i) => measured[i] as number),
    );
    const { mean } = model.predict(views.slice(known));
    const { mape, spearman } = scorePredictions(
      test,
      [...mean],
      test.map(() => true),
    );
    return [{ n, mape, spearman }];
  });
}
