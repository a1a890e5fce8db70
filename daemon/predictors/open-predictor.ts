import { targetKey } from '../core/target.js';
import { noParts, type PureParts } from '../plugins/pure-parts.js';
import type { PredictorRecord } from '../store/contract.js';
import { StoredPredictor } from './stored-predictor.js';

/** Those among all predictors that this one learns from: of the same space and metric, on other targets. */
export const sourcesOf = (record: PredictorRecord, all: readonly PredictorRecord[]): PredictorRecord[] =>
  all.filter(
    (other) =>
      other.id !== record.id &&
      other.spaceId === record.spaceId &&
      other.metric === record.metric &&
      targetKey(other.target) !== targetKey(record.target),
  );

/** Fits it, and its sources. Throws PREDICTOR_CORRUPT, PREDICTOR_UNFIT. */
export function openPredictor(
  record: PredictorRecord,
  others: readonly PredictorRecord[],
  parts: Pick<PureParts, 'spaces' | 'models'> = noParts,
): StoredPredictor {
  // A damaged neighbour must not keep a sound predictor from answering.
  const sources = others.flatMap((other) => {
    try {
      return [new StoredPredictor(other, [], parts)];
    } catch {
      return [];
    }
  });
  return new StoredPredictor(record, sources, parts);
}
