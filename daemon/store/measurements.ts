import type { Knex } from 'knex';
import { HildaError } from '../core/errors.js';
import type { DeviceId, MeasurementId, StudyId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import { costsOf, type Provenance, type Verdict } from '../core/measurement.js';
import type { MeasurementFilter, MeasurementRecord, Store, TrialOfMeasurement } from './contract.js';
import type { Database } from './database.js';
import { fromJsonText, toJsonText } from './json-columns.js';
import { assertLive } from './leases.js';
import { packRounds, unpackRounds } from './pack-rounds.js';
import { requireTrialIn } from './trials.js';

interface MeasurementRow {
  readonly id: MeasurementId;
  readonly device_id: DeviceId;
  readonly study_id: StudyId | null;
  readonly trial_number: number | null;
  readonly target: string;
  readonly provenance: Provenance;
  readonly protocol: string;
  readonly structure_hash: string;
  readonly weights_hash: string;
  readonly latency: string;
  readonly counts: string;
  readonly memory: string;
  readonly verdict: Verdict;
  readonly reason: string;
  readonly manifest: string;
  readonly taken_at_ms: number;
  readonly duration_ms: number;
}

const summaryColumns = [
  'id',
  'device_id',
  'study_id',
  'trial_number',
  'target',
  'provenance',
  'protocol',
  'structure_hash',
  'weights_hash',
  'latency',
  'counts',
  'memory',
  'verdict',
  'reason',
  'manifest',
  'taken_at_ms',
  'duration_ms',
] as const satisfies readonly (keyof MeasurementRow)[];

const defaultLimit = 100;
/** An engine takes so many ids in one question, at least. */
const asked = 500;

export function measurementStore(
  database: Database,
): Pick<Store, 'addMeasurement' | 'measurement' | 'measurements' | 'measurementCount' | 'measurementsById'> {
  return {
    addMeasurement: (measurement, { deviceId, lease, trial }) =>
      database.write(async (write) => {
        const { db, next, publish } = write;
        if (lease.deviceId !== deviceId) {
          throw new HildaError(
            'LEASE_STALE',
            `the lease is of ${lease.deviceId}, the measurement of ${deviceId}`,
          );
        }
        await assertLive(write, lease);
        const ordinal = await next('measurements');
        const id = `m${ordinal}` as MeasurementId;
        if (trial) await noteInTrial(db, trial, measurement, { deviceId, id });
        const record = {
          ...measurement,
          id,
          deviceId,
          studyId: trial?.studyId ?? null,
          trialNumber: trial?.number ?? null,
        };
        await db('measurements').insert({ ordinal, ...toRow(record) });
        await publish('measurements', measurementEvent(record));
        return record;
      }),

    measurement: async (id) => {
      const row = await database.read<(MeasurementRow & { readonly rounds: Uint8Array }) | undefined>((db) =>
        db('measurements').where({ id }).first(),
      );
      if (!row) throw unknown(id);
      return { ...toSummary(row), rounds: unpackRounds(row.rounds) };
    },

    measurements: async ({ before, limit = defaultLimit, ...filter }) => {
      const below = before === undefined ? undefined : await ordinalOf(database, before);
      const rows = await database.read<MeasurementRow[]>((db) => {
        const query = matching(db, filter).select(summaryColumns).orderBy('ordinal', 'desc').limit(limit);
        return below === undefined ? query : query.andWhere('ordinal', '<', below);
      });
      return rows.map(toSummary);
    },

    measurementsById: async (ids) => {
      const found = new Map<MeasurementId, MeasurementRecord>();
      for (let from = 0; from < ids.length; from += asked) {
        const rows = await database.read<MeasurementRow[]>((db) =>
          db('measurements')
            .select(summaryColumns)
            .whereIn('id', ids.slice(from, from + asked)),
        );
        for (const row of rows) found.set(row.id, toSummary(row));
      }
      return found;
    },

    measurementCount: async (filter) => {
      const counted = await database.read<{ readonly count: number | string }[]>((db) =>
        matching(db, filter).count({ count: '*' }),
      );
      return Number(counted[0]?.count ?? 0);
    },
  };
}

/** Tells a measurement's trial of it. Throws STATE_CONFLICT for one that takes none. */
export async function noteInTrial(
  db: Knex,
  { studyId, number, late = false }: TrialOfMeasurement,
  { verdict }: Pick<MeasurementRecord, 'verdict'>,
  { deviceId, id }: Pick<MeasurementRecord, 'deviceId' | 'id'>,
): Promise<void> {
  const { measurements } = await requireTrialIn(late ? 'complete' : 'asked', db, studyId, number);
  const extended = toJsonText({ ...measurements, [deviceId]: id });
  if (!late || verdict === 'valid')
    await db('trials').where({ study_id: studyId, number }).update({ measurements: extended });
}

export const measurementEvent = ({
  id,
  deviceId,
  studyId,
  trialNumber,
  ...measurement
}: MeasurementRecord): Json => ({
  type: 'measurement',
  id,
  deviceId,
  studyId,
  trialNumber,
  structureHash: measurement.structureHash,
  verdict: measurement.verdict,
  ...costsOf(measurement),
});

/** Every column but the ordinal. */
export const toRow = (record: MeasurementRecord): MeasurementRow & { readonly rounds: Buffer } => ({
  id: record.id,
  device_id: record.deviceId,
  study_id: record.studyId,
  trial_number: record.trialNumber,
  target: toJsonText(record.target),
  provenance: record.provenance,
  protocol: record.protocol,
  structure_hash: record.structureHash,
  weights_hash: record.weightsHash,
  latency: toJsonText(record.latency),
  counts: toJsonText(record.counts),
  memory: toJsonText(record.memory),
  verdict: record.verdict,
  reason: record.reason,
  manifest: toJsonText(record.manifest),
  rounds: Buffer.from(packRounds(record.rounds)),
  taken_at_ms: record.takenAtMs,
  duration_ms: record.durationMs,
});

const unknown = (id: MeasurementId): HildaError =>
  new HildaError('NOT_FOUND', `there is no measurement ${id}`, {
    hint: 'Measurements are named in `hilda search show` and in GET /v1/measurements.',
    details: { measurementId: id },
  });

function matching(
  db: Knex,
  { deviceId, studyId, structureHash, verdict }: MeasurementFilter,
): Knex.QueryBuilder {
  const wanted = { device_id: deviceId, study_id: studyId, structure_hash: structureHash, verdict };
  const given = Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== undefined));
  return db('measurements').where(given);
}

async function ordinalOf(database: Database, id: MeasurementId): Promise<number> {
  const row = await database.read<{ readonly ordinal: number } | undefined>((db) =>
    db('measurements').select('ordinal').where({ id }).first(),
  );
  if (!row) throw unknown(id);
  return row.ordinal;
}

const toSummary = (row: MeasurementRow): MeasurementRecord => {
  const parse = <T>(text: string): T => fromJsonText(text, `measurement ${row.id}`);
  return {
    id: row.id,
    deviceId: row.device_id,
    studyId: row.study_id,
    trialNumber: row.trial_number,
    target: parse(row.target),
    provenance: row.provenance,
    protocol: row.protocol,
    structureHash: row.structure_hash,
    weightsHash: row.weights_hash,
    latency: parse(row.latency),
    counts: parse(row.counts),
    memory: parse(row.memory),
    verdict: row.verdict,
    reason: row.reason,
    manifest: parse(row.manifest),
    rounds: [],
    takenAtMs: row.taken_at_ms,
    durationMs: row.duration_ms,
  };
};
