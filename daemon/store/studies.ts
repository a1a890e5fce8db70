import type { Knex } from 'knex';
import { HildaError } from '../core/errors.js';
import type { StudyId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import type { Store, StudyRecord, StudyState } from './contract.js';
import type { Database } from './database.js';
import { fromJsonText, toJsonText } from './json-columns.js';

interface StudyRow {
  readonly ordinal: number;
  readonly id: StudyId;
  readonly name: string;
  readonly spec: string;
  readonly state: StudyState;
  readonly reason: string | null;
  readonly created_ms: number;
  readonly updated_ms: number;
  readonly sampler: string;
  readonly rng: string;
}

export function studyStore(
  database: Database,
): Pick<Store, 'createStudy' | 'studies' | 'study' | 'setStudyState'> {
  return {
    createStudy: ({ name, spec, sampler, rng }) =>
      database.write(async ({ db, nowMs, next, publish }) => {
        const ordinal = await next('studies');
        const id = `study-${ordinal}` as StudyId;
        await db('studies').insert({
          ordinal,
          id,
          name,
          spec: toJsonText(spec),
          state: 'running',
          reason: null,
          created_ms: nowMs,
          updated_ms: nowMs,
          sampler: toJsonText(sampler),
          rng: toJsonText(rng),
        });
        const study = toStudy(await requireStudy(db, id));
        await publish(`study.${id}`, stateEvent(study));
        return study;
      }),

    studies: async () =>
      (await database.read<StudyRow[]>((db) => db('studies').orderBy('ordinal'))).map(toStudy),

    study: async (id) => toStudy(await database.read((db) => requireStudy(db, id))),

    setStudyState: (id, state, reason = null) =>
      database.write(async ({ db, nowMs, publish }) => {
        await requireStudy(db, id);
        await db('studies').where({ id }).update({ state, reason, updated_ms: nowMs });
        const study = toStudy(await requireStudy(db, id));
        await publish(`study.${id}`, stateEvent(study));
        return study;
      }),
  };
}

/** Throws STUDY_UNKNOWN. */
export async function requireStudy(db: Knex, id: StudyId): Promise<StudyRow> {
  const row: StudyRow | undefined = await db('studies').where({ id }).first();
  if (!row) throw new HildaError('STUDY_UNKNOWN', `there is no study ${id}`, { details: { studyId: id } });
  return row;
}

const stateEvent = ({ id, name, state, reason }: StudyRecord): Json => ({
  type: 'state',
  studyId: id,
  name,
  state,
  reason,
});

const toStudy = (row: StudyRow): StudyRecord => ({
  id: row.id,
  name: row.name,
  spec: fromJsonText(row.spec, `the spec of ${row.id}`),
  state: row.state,
  reason: row.reason,
  createdMs: row.created_ms,
  updatedMs: row.updated_ms,
  sampler: fromJsonText(row.sampler, `the sampler of ${row.id}`),
  rng: fromJsonText(row.rng, `the generator of ${row.id}`),
});
