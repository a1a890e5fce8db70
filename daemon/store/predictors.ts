import type { Knex } from 'knex';
import { HildaError } from '../core/errors.js';
import type { DeviceId, PredictorId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import type { PredictorRecord, Store } from './contract.js';
import type { Database, Write } from './database.js';
import { fromJsonText, toJsonText } from './json-columns.js';

interface PredictorRow {
  readonly ordinal: number;
  readonly id: PredictorId;
  readonly device_id: DeviceId;
  readonly target: string;
  readonly space_id: string;
  readonly metric: string;
  readonly body: string;
  readonly created_ms: number;
  readonly updated_ms: number;
}

export function predictorStore(
  database: Database,
): Pick<Store, 'addPredictor' | 'updatePredictor' | 'predictors' | 'predictor'> {
  return {
    addPredictor: (predictor) => database.write((write) => addPredictorIn(write, predictor)),

    updatePredictor: (id, body) => database.write((write) => updatePredictorIn(write, id, body)),

    predictors: async () =>
      (await database.read<PredictorRow[]>((db) => db('predictors').orderBy('ordinal'))).map(toPredictor),

    predictor: async (id) => toPredictor(await database.read((db) => requirePredictor(db, id))),
  };
}

export async function addPredictorIn(
  { db, nowMs, next, publish }: Write,
  { deviceId, target, spaceId, metric, body }: Omit<PredictorRecord, 'id' | 'createdMs' | 'updatedMs'>,
): Promise<PredictorRecord> {
  const ordinal = await next('predictors');
  const id = `predictor-${ordinal}` as PredictorId;
  await db('predictors').insert({
    ordinal,
    id,
    device_id: deviceId,
    target: toJsonText(target),
    space_id: spaceId,
    metric,
    body: toJsonText(body),
    created_ms: nowMs,
    updated_ms: nowMs,
  });
  await publish('predictors', { type: 'predictor', id, deviceId, spaceId, metric });
  return toPredictor(await requirePredictor(db, id));
}

export async function updatePredictorIn(
  { db, nowMs, publish }: Write,
  id: PredictorId,
  body: Json,
): Promise<PredictorRecord> {
  await requirePredictor(db, id);
  await db('predictors')
    .where({ id })
    .update({ body: toJsonText(body), updated_ms: nowMs });
  const record = toPredictor(await requirePredictor(db, id));
  const { deviceId, spaceId, metric } = record;
  await publish('predictors', { type: 'predictor', id, deviceId, spaceId, metric });
  return record;
}

/** Throws PREDICTOR_UNKNOWN. */
async function requirePredictor(db: Knex, id: PredictorId): Promise<PredictorRow> {
  const row: PredictorRow | undefined = await db('predictors').where({ id }).first();
  if (!row)
    throw new HildaError('PREDICTOR_UNKNOWN', `there is no predictor ${id}`, {
      details: { predictorId: id },
    });
  return row;
}

const toPredictor = (row: PredictorRow): PredictorRecord => ({
  id: row.id,
  deviceId: row.device_id,
  target: fromJsonText(row.target, `predictor ${row.id}`),
  spaceId: row.space_id,
  metric: row.metric,
  body: fromJsonText(row.body, `predictor ${row.id}`),
  createdMs: row.created_ms,
  updatedMs: row.updated_ms,
});
