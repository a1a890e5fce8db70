import { HildaError } from '../core/errors.js';
import type { DeviceId, MeasurementId, StudyId } from '../core/ids.js';
import { costsOf, type Provenance, type Verdict } from '../core/measurement.js';
import type { MeasurementRecord, Store } from './contract.js';
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

export function measurementStore(
  database: Database,
): Pick<Store, 'addMeasurement' | 'measurement' | 'measurements'> {
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
        if (trial) {
          const { studyId, number, late = false } = trial;
          const { measurements } = await requireTrialIn(late ? 'complete' : 'asked', db, studyId, number);
          const extended = toJsonText({ ...measurements, [deviceId]: id });
          if (!late || measurement.verdict === 'valid')
            await db('trials').where({ study_id: studyId, number }).update({ measurements: extended });
        }
        const {
          target,
          provenance,
          protocol,
          structureHash,
          weightsHash,
          latency,
          counts,
          memory,
          verdict,
          reason,
          manifest,
        } = measurement;
        const studyId = trial?.studyId ?? null;
        const trialNumber = trial?.number ?? null;
        await db('measurements').insert({
          ordinal,
          id,
          device_id: deviceId,
          study_id: studyId,
          trial_number: trialNumber,
          target: toJsonText(target),
          provenance,
          protocol,
          structure_hash: structureHash,
          weights_hash: weightsHash,
          latency: toJsonText(latency),
          counts: toJsonText(counts),
          memory: toJsonText(memory),
          verdict,
          reason,
          manifest: toJsonText(manifest),
          rounds: Buffer.from(packRounds(measurement.rounds)),
          taken_at_ms: measurement.takenAtMs,
          duration_ms: measurement.durationMs,
        });
        const facts = { verdict, ...costsOf(measurement) };
        await publish('measurements', {
          type: 'measurement',
          id,
          deviceId,
          studyId,
          trialNumber,
          structureHash,
          ...facts,
        });
        return { ...measurement, id, deviceId, studyId, trialNumber };
      }),

    measurement: async (id) => {
      const row = await database.read<(MeasurementRow & { readonly rounds: Uint8Array }) | undefined>((db) =>
        db('measurements').where({ id }).first(),
      );
      if (!row)
        throw new HildaError('NOT_FOUND', `there is no measurement ${id}`, {
          details: { measurementId: id },
        });
      return { ...toSummary(row), rounds: unpackRounds(row.rounds) };
    },

    measurements: async ({ deviceId, studyId, structureHash, limit = defaultLimit }) => {
      const wanted = { device_id: deviceId, study_id: studyId, structure_hash: structureHash };
      const given = Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== undefined));
      const rows = await database.read<MeasurementRow[]>((db) =>
        db('measurements').select(summaryColumns).where(given).orderBy('ordinal', 'desc').limit(limit),
      );
      return rows.map(toSummary);
    },
  };
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
