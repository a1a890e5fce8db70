import { HildaError } from '../core/errors.js';
import type { StudyId } from '../core/ids.js';
import type { EarlierStudy } from '../search/samplers/contract.js';
import type { Store } from '../store/contract.js';
import { parseStudySpec, type StudySpec } from './spec.js';
import { toTrial } from './told-trial.js';

/** A study's spec holds its space file, and a shipped file has its id's name: equal ids are equal spaces. */
export const spaceIdOf = (spec: StudySpec): unknown =>
  typeof spec.space === 'string' ? spec.space : spec.space.id;

/**
 * Replaces `transfer: same-space` by the ids of the studies that are finished now, so that a resumed study learns from
 * the same ones. Named studies must exist (STUDY_UNKNOWN), be finished and search the same space (SPEC_INVALID). Those that
 * are caught up just now do not count as finished: what they say changes.
 */
export async function resolveTransfer(
  spec: StudySpec,
  store: Store,
  isRunning: (id: StudyId) => boolean,
): Promise<StudySpec> {
  if (spec.transfer === 'same-space') {
    const finished = (await store.studies()).filter(
      ({ id, state }) => (state === 'completed' || state === 'stopped') && !isRunning(id),
    );
    const fitting = finished.filter((study) => spaceIdOf(parseStudySpec(study.spec)) === spaceIdOf(spec));
    return { ...spec, transfer: fitting.map(({ id }) => id) };
  }
  for (const id of spec.transfer) {
    const study = await store.study(id as StudyId);
    const wrong =
      study.state !== 'completed' && study.state !== 'stopped'
        ? `is ${study.state}`
        : isRunning(study.id)
          ? 'is being caught up'
          : spaceIdOf(parseStudySpec(study.spec)) !== spaceIdOf(spec)
            ? 'searches another space'
            : undefined;
    if (wrong)
      throw new HildaError('SPEC_INVALID', `transfer: the study ${id} ${wrong}`, {
        details: { fields: ['transfer'] },
      });
  }
  return spec;
}

export async function earlierStudies(spec: StudySpec, store: Store): Promise<EarlierStudy[]> {
  const ids = spec.transfer === 'same-space' ? [] : spec.transfer;
  return Promise.all(
    ids.map(async (id): Promise<EarlierStudy> => {
      const study = await store.study(id as StudyId);
      const { objectives, constraints } = parseStudySpec(study.spec);
      const told = (await store.trials(study.id)).filter((trial) => trial.told);
      return { id, objectives, constraints, history: told.map(toTrial) };
    }),
  );
}

/** Studies that learn from this one and may yet ask: what it says must not change before they end. */
export async function learnersOf(id: StudyId, store: Store): Promise<StudyId[]> {
  const unfinished = (await store.studies()).filter(
    ({ state }) => state !== 'completed' && state !== 'stopped',
  );
  return unfinished.filter(({ spec }) => parseStudySpec(spec).transfer.includes(id)).map(({ id }) => id);
}
