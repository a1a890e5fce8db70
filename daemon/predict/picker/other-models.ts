import type { Matrix } from '../design.js';
import { at, type Candidate, foldsOf, type Known, othersOf } from './candidate.js';
import type { ViewData } from './view-data.js';

/** What a model learns from: one row of numbers a sample, and the logarithm of its cost. */
export interface ModelSamples {
  /** What each number of a row counts, for example an operator of one shape. */
  readonly columns: readonly string[];
  readonly rows: readonly Float64Array[];
  readonly logCosts: Float64Array;
  /** In (0, 1]: less for samples that were measured less exactly than most. */
  readonly weights: Float64Array;
}

/** Logarithms of the cost, one for each row. */
export type FittedModel = (rows: readonly Float64Array[]) => Float64Array;

/** Names of models in this folder. */
export const ownModels = ['table', 'gaussian', 'trees'] as const;

/** A model of costs beside those of this folder. Deterministic. */
export interface CostModel {
  readonly name: string;
  /** It is not asked about fewer samples. */
  readonly minimumSamples: number;
  fit(samples: ModelSamples): FittedModel;
}

/** The model as a candidate on a view, with predictions for each sample by fits that did not see it. */
export function otherCandidate(model: CostModel, view: ViewData, known: Known): Candidate[] {
  const n = known.y.length;
  // The largest fold is held out of what it is fitted to.
  const folds = foldsOf(n);
  const least = n - Math.max(...folds.map(({ length }) => length));
  if (least < model.minimumSamples || view.x.columns === 0) return [];
  const rows = rowsOf(view.x);
  const fitTo = (chosen: readonly number[]): FittedModel =>
    model.fit({
      columns: view.design.names,
      rows: chosen.map((row) => rows[row] as Float64Array),
      logCosts: at(known.logY, chosen),
      weights: at(known.weights, chosen),
    });
  const held = new Float64Array(n);
  for (const fold of folds) {
    const predicted = fitTo(othersOf(fold, n))(fold.map((row) => rows[row] as Float64Array));
    fold.forEach((row, k) => {
      held[row] = predicted[k] as number;
    });
  }
  return [
    {
      label: `${model.name}(${view.name})`,
      views: [view.name],
      held,
      build: () => {
        const fitted = fitTo(rows.map((_, i) => i));
        return { predictLog: (places) => fitted(rowsOf(places.get(view.name) as Matrix)) };
      },
    },
  ];
}

const rowsOf = ({ rows, columns, data }: Matrix): Float64Array[] =>
  Array.from({ length: rows }, (_, i) => data.slice(i * columns, (i + 1) * columns));
