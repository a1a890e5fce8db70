import type { PredictorScore } from './contract.js';
import { kendall, spearman } from './statistics.js';

/** How well held-out predictions agree with what was measured. `covered[i]`: the measurement lay in its interval. */
export function scorePredictions(
  measured: readonly number[],
  predicted: readonly number[],
  covered: readonly boolean[],
): PredictorScore {
  const errors = measured.map(
    (y, i) => Math.abs((predicted[i] as number) - y) / Math.max(Math.abs(y), 1e-12),
  );
  const share = (hits: readonly boolean[]): number => hits.filter(Boolean).length / Math.max(1, hits.length);
  return {
    n: measured.length,
    spearman: spearman(measured, predicted),
    kendall: kendall(measured, predicted),
    mape: (100 * errors.reduce((sum, e) => sum + e, 0)) / Math.max(1, errors.length),
    within10: share(errors.map((e) => e <= 0.1)),
    coverage: share(covered),
  };
}
