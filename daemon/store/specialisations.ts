import type { Knex } from 'knex';
import { HildaError } from '../core/errors.js';
import type { SpecialisationId } from '../core/ids.js';
import type { SpecialisationRecord, Store } from './contract.js';
import type { Database, Write } from './database.js';
import { fromJsonText, toJsonText } from './json-columns.js';

interface SpecialisationRow {
  readonly ordinal: number;
  readonly id: SpecialisationId;
  readonly name: string;
  readonly state: SpecialisationRecord['state'];
  readonly reason: string | null;
  readonly body: string;
  readonly created_ms: number;
}

export function specialisationStore(
  database: Database,
): Pick<Store, 'addSpecialisation' | 'setSpecialisationState' | 'specialisations' | 'specialisation'> {
  return {
    addSpecialisation: ({ name, body }) =>
      database.write(async (write) => {
        const { db, nowMs, next } = write;
        const ordinal = await next('specialisations');
        const id = `specialisation-${ordinal}` as SpecialisationId;
        await db('specialisations').insert({
          ordinal,
          id,
          name,
          state: 'running',
          reason: null,
          body: toJsonText(body),
          created_ms: nowMs,
        });
        return tell(id, write);
      }),

    setSpecialisationState: (id, state, reason = null) =>
      database.write(async (write) => {
        await write.db('specialisations').where({ id }).update({ state, reason });
        return tell(id, write);
      }),

    specialisations: async () => {
      const rows = await database.read<SpecialisationRow[]>((db) => db('specialisations').orderBy('ordinal'));
      return rows.map(toRecord);
    },

    specialisation: async (id) => toRecord(await database.read((db) => requireRow(db, id))),
  };
}

/** The record as this write leaves it, and the event that says so. Throws NOT_FOUND. */
async function tell(
  id: SpecialisationId,
  { db, publish }: Pick<Write, 'db' | 'publish'>,
): Promise<SpecialisationRecord> {
  const record = toRecord(await requireRow(db, id));
  const { name, state, reason } = record;
  await publish(`specialisation.${id}`, { type: 'state', specialisationId: id, name, state, reason });
  return record;
}

async function requireRow(db: Knex, id: SpecialisationId): Promise<SpecialisationRow> {
  const row: SpecialisationRow | undefined = await db('specialisations').where({ id }).first();
  if (row) return row;
  throw new HildaError('NOT_FOUND', `there is no specialisation ${id}`, {
    hint: 'Run `hilda search matrix` to see all.',
  });
}

const toRecord = (row: SpecialisationRow): SpecialisationRecord => ({
  id: row.id,
  name: row.name,
  state: row.state,
  reason: row.reason,
  body: fromJsonText(row.body, `the body of ${row.id}`),
  createdMs: row.created_ms,
});
