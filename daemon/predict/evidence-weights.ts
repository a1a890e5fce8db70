import { medianOf } from './statistics.js';

/**
 * Weights in (0, 1] of samples by how exactly each was measured. A sample's error is that of the model and that of its
 * measurement. What most samples have of the latter counts as the model's, so samples of equal exactness all weigh 1:
 * `1 / (1 + (s_i^2 - median(s)^2) / r^2)`, at most 1, with the spread r of the residuals (weighted least squares with
 * estimated variances, Carroll and Ruppert 1988, section 2.1).
 *
 * `deviations`: standard error of the logarithm of each sample; 0 where it is unknown. `residuals`: of the logarithms.
 */
export function evidenceWeights(
  deviations: readonly number[],
  residuals: Float64Array | readonly number[],
): Float64Array {
  const usual = medianOf(deviations) ** 2;
  const spread = (1.4826 * medianOf(Array.from(residuals, Math.abs))) ** 2;
  return Float64Array.from(deviations, (deviation) => {
    const beyond = Math.max(0, deviation ** 2 - usual);
    return Number.isFinite(beyond) ? 1 / (1 + beyond / Math.max(spread, 1e-8)) : 1e-6;
  });
}
