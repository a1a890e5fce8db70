import { HildaError } from '../core/errors.js';
import type { StudyId } from '../core/ids.js';
import type { Store, TrialRecord } from './contract.js';

/** One trial of a study. Throws STUDY_UNKNOWN and NOT_FOUND. */
export async function oneTrial(
  id: StudyId,
  number: number,
  store: Pick<Store, 'trials'>,
): Promise<TrialRecord> {
  const [trial] = await store.trials(id, { fromNumber: number, limit: 1 });
  if (trial?.number === number) return trial;
  throw noTrial(id, number);
}

export const noTrial = (studyId: StudyId, number: number): HildaError =>
  new HildaError('NOT_FOUND', `the study ${studyId} has no trial ${number}`, {
    details: { studyId, number },
  });
