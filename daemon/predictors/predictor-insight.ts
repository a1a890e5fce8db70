import type { FoundPlugin } from '../plugins/find-plugin.js';
import type { PredictorScore } from '../predict/contract.js';
import type { DriftReport } from '../predict/drift.js';
import type { PickReport } from '../predict/picked.js';
import type { PredictorRecord } from '../store/contract.js';
import { type PredictorFigures, predictorFigures } from './predictor-figures.js';
import type { StoredPredictor } from './stored-predictor.js';

/** What pages show of a predictor beside its record. All of it follows from fits, which take seconds: it is made once and kept. */
export interface PredictorInsight {
  readonly report: PickReport;
  readonly score: PredictorScore | null;
  readonly drift: DriftReport;
  readonly cautions: readonly string[];
  readonly figures: PredictorFigures;
}

export const detailOf = (predictor: StoredPredictor): Omit<PredictorInsight, 'figures'> => ({
  report: predictor.report(),
  score: predictor.score(),
  drift: predictor.drift(),
  cautions: predictor.cautions(),
});

export const insightOf = (predictor: StoredPredictor): PredictorInsight => ({
  ...detailOf(predictor),
  figures: predictorFigures(predictor),
});

/** What a thread needs to make one: the predictor, and those of other targets that it learns from. */
export interface InsightJob {
  readonly record: PredictorRecord;
  readonly others: readonly PredictorRecord[];
  /** Whose spaces and models it needs. */
  readonly plugins: readonly FoundPlugin[];
}
