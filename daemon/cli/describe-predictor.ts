import type { PredictorDetailView } from '../api/predictor-schemas.js';

export function describePredictor({
  id,
  deviceId,
  spaceId,
  provenance,
  samples,
  model,
  score,
  drift: live,
  cautions,
}: PredictorDetailView): string {
  return [
    `${id}: ${spaceId} on ${deviceId}, ${provenance}, ${samples} networks measured`,
    `model        ${model}`,
    ...(score
      ? [
          `Spearman     ${score.spearman.toFixed(4)} (cross-validated)`,
          `MAPE         ${score.mape.toFixed(2)} %`,
          `within 10 %  ${(100 * score.within10).toFixed(1)} %`,
        ]
      : [`score        none yet: hilda predictor drift ${id} --probe 10 --refit`]),
    `drift        ${live.state}: ${live.reason}`,
    ...cautions.map((caution) => `caution      ${caution}`),
  ].join('\n');
}
