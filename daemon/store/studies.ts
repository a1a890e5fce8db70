import type { Knex } from 'knex';
import { HildaError } from '../core/errors.js';
import type { DeviceId, SpecialisationId, StudyId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import type { Store, StudyPart, StudyRecord, StudyState } from './contract.js';
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
  readonly specialisation_id: SpecialisationId | null;
  readonly part_device_id: DeviceId | null;
  readonly part_role: StudyPart['role'] | null;
}

export function studyStore(
  database: Database,
): Pick<Store, 'createStudy' | 'studies' | 'studiesOf' | 'study' | 'setStudyState'> {
  return {
    createStudy: ({ name, spec, sampler, rng, part }) =>
      database.write(async ({ db, nowMs, next, publish }) => {
        const place = part && partColumns(part);
        if (place && (await db('studies').where(place).first()))
          throw new HildaError(
            'STATE_CONFLICT',
            `${part.specialisationId} has its ${part.role} study of ${part.deviceId}`,
          );
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
          ...place,
        });
        const study = toStudy(await requireStudy(db, id));
        await publish(`study.${id}`, stateEvent(study));
        if (part)
          await publish(`specialisation.${part.specialisationId}`, { type: 'study', studyId: id, ...part });
        return study;
      }),

    studies: async () =>
      (await database.read<StudyRow[]>((db) => db('studies').orderBy('ordinal'))).map(toStudy),

    studiesOf: async (id) => {
      const rows = await database.read<StudyRow[]>((db) =>
        db<StudyRow>('studies')
          .where({ specialisation_id: id })
          .orderBy('ordinal')
          .select('id', 'state', 'specialisation_id', 'part_device_id', 'part_role'),
      );
      return rows.map((row) => ({ ...(toPart(row) as StudyPart), id: row.id, state: row.state }));
    },

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

const partColumns = ({ specialisationId, deviceId, role }: StudyPart) => ({
  specialisation_id: specialisationId,
  part_device_id: deviceId,
  part_role: role,
});

const toPart = ({
  specialisation_id: specialisationId,
  part_device_id: deviceId,
  part_role: role,
}: Pick<StudyRow, keyof ReturnType<typeof partColumns>>): StudyPart | null =>
  specialisationId && deviceId && role ? { specialisationId, deviceId, role } : null;

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
  part: toPart(row),
});
