import type { Trial } from '../search/samplers/contract.js';
import type { TrialRecord } from '../store/contract.js';
import type { StudySpec } from './spec.js';

/** A trial as predictors learn from it: what was measured and evaluated. */
export function toTrial(record: TrialRecord): Trial {
  const { number, architectureId: id, architecture, values } = record;
  return { number, id, architecture, values, state: record.state === 'asked' ? 'failed' : record.state };
}

/**
 * A trial as the sampler hears of it. Where a device was not there, its metrics have what was predicted when the trial was
 * asked, so that the search goes on; without a prediction the trial ranks behind those that are whole.
 */
export function toldTrial(
  record: TrialRecord,
  { objectives, constraints }: Pick<StudySpec, 'objectives' | 'constraints'>,
): Trial {
  const trial = toTrial(record);
  if (trial.state !== 'complete') return trial;
  const lacking = [...objectives, ...constraints].flatMap(({ metric }) => {
    const predicted = record.predicted[metric];
    return record.values[metric] === undefined && predicted ? [[metric, predicted.mean] as const] : [];
  });
  return { ...trial, values: { ...trial.values, ...Object.fromEntries(lacking) } };
}
