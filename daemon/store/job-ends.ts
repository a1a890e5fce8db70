import type { Knex } from 'knex';
import { asHildaError, HildaError, toErrorDocument } from '../core/errors.js';
import type { DeviceId, MeasurementId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import type { StoredEvent, TrialOfMeasurement } from './contract.js';
import { insertAll, type Write } from './database.js';
import type { Ended, JobEnd } from './job-contract.js';
import { type JobRow, jobEvent, ordinalOfJob, toJob } from './job-rows.js';
import { toJsonText } from './json-columns.js';
import { measurementEvent, noteInTrial, toRow } from './measurements.js';
import { requireTrialIn } from './trials.js';
import { updateJobs } from './update-jobs.js';

/** Rows of so many columns fit one statement of any engine. */
const most = 500;

type News = Pick<StoredEvent, 'topic' | 'data'>;

/** Ends attempts, see `JobStore.turnJobs`; with what is to be told of them. */
export async function endAll(
  write: Write,
  ends: readonly JobEnd[],
): Promise<{ readonly ended: (Ended | HildaError)[]; readonly events: readonly News[] }> {
  if (ends.length === 0) return { ended: [], events: [] };
  const { db, all, nowMs, next } = write;
  const { freed, live } = await freeLeases(all, ends, nowMs);
  const refusals = new Map<JobEnd, HildaError>();
  const stored = new Map<JobEnd, NonNullable<Ended['measurement']>>();
  for (const end of ends)
    if (!live.has(keyOf(end)) && (end.state === 'done' || end.measurement || end.values))
      refusals.set(end, stale(end));
  const unfit = new Map<JobEnd, HildaError>();
  for (const end of ends) {
    const trial = refusals.has(end) ? undefined : end.measurement?.trial;
    const refused = trial && (await refusedBy(db, trial));
    if (refused) unfit.set(end, refused);
  }
  const measured = ends.filter((end) => end.measurement && !refusals.has(end) && !unfit.has(end));
  const first = measured.length > 0 ? await next('measurements', measured.length) : 0;
  const ordinalsOf = new Map(measured.map((end, i) => [end, first + i]));

  const row = (end: JobEnd): readonly (string | number | null)[] => {
    const ordinal = ordinalsOf.get(end);
    const refused = unfit.get(end);
    const result =
      ordinal === undefined ? end.result : { ...(end.result as object), measurementId: `m${ordinal}` };
    const error = refused ? (toErrorDocument(refused) as unknown as Json) : end.error;
    return [
      ordinalOfJob(end.job) ?? 0,
      end.lease.token,
      refused ? 'failed' : end.state,
      result === null ? null : toJsonText(result),
      error === null ? null : toJsonText(error),
      end.state === 'queued' && !refused ? null : nowMs,
    ];
  };
  const updated = await updateJobs(
    all,
    ends.filter((end) => !refusals.has(end)).map(row),
    ['token', 'state', 'result', 'error', 'ended_ms'],
    'state = v.state, result = COALESCE(v.result, jobs.result), error = v.error, ended_ms = v.ended_ms',
    "jobs.token = v.token AND jobs.state = 'running'",
  );
  const rows = new Map(updated.map((one) => [one.ordinal, one]));
  const events: News[] = [];
  const measurements: object[] = [];
  for (const end of ends) {
    const { deviceId } = end.lease;
    if (live.has(keyOf(end)) && end.handOver) {
      const { holder, ttlMs } = end.handOver;
      const { token } = end.lease;
      await db('leases').insert({ device_id: deviceId, holder, token, expires_ms: nowMs + ttlMs });
      events.push({ topic: 'devices', data: { type: 'leased', deviceId, holder } });
    } else if (freed.has(keyOf(end))) events.push({ topic: 'devices', data: { type: 'freed', deviceId } });
    if (refusals.has(end)) continue;
    const job = rows.get(ordinalOfJob(end.job) ?? 0);
    if (!job) {
      refusals.set(end, stale(end));
      continue;
    }
    const ordinal = ordinalsOf.get(end);
    if (end.measurement && ordinal !== undefined) {
      const { taken, trial } = end.measurement;
      const id = `m${ordinal}` as MeasurementId;
      const record = {
        ...taken,
        id,
        deviceId,
        studyId: trial?.studyId ?? null,
        trialNumber: trial?.number ?? null,
      };
      if (trial) await noteInTrial(db, trial, taken, { deviceId, id });
      measurements.push({ ordinal, ...toRow(record) });
      events.push({ topic: 'measurements', data: measurementEvent(record) });
      stored.set(end, record);
    }
    for (const [key, value] of Object.entries(end.values ?? {}))
      await db('key_values')
        .insert({ key, value: toJsonText(value) })
        .onConflict('key')
        .merge();
    events.push(jobEvent(job));
  }
  await insertAll(all, 'measurements', measurements);
  const ended = ends.map(
    (end) =>
      refusals.get(end) ??
      unfit.get(end) ?? {
        job: toJob(rows.get(ordinalOfJob(end.job) ?? 0) as JobRow),
        measurement: stored.get(end) ?? null,
      },
  );
  return { ended, events };
}

/** Why a trial takes no measurement; undefined where it takes one. */
async function refusedBy(
  db: Knex,
  { studyId, number, late = false }: TrialOfMeasurement,
): Promise<HildaError | undefined> {
  try {
    await requireTrialIn(late ? 'complete' : 'asked', db, studyId, number);
    return undefined;
  } catch (thrown) {
    const error = asHildaError(thrown);
    if (error.code === 'STATE_CONFLICT' || error.code === 'NOT_FOUND' || error.code === 'STUDY_UNKNOWN')
      return error;
    throw thrown;
  }
}

const keyOf = ({ lease: { deviceId, token } }: Pick<JobEnd, 'lease'>): string => `${token} ${deviceId}`;

interface Freed {
  /** All that were there. */
  readonly freed: ReadonlySet<string>;
  /** Those that had not run out when the work ended. */
  readonly live: ReadonlySet<string>;
}

async function freeLeases(all: Write['all'], ends: readonly JobEnd[], nowMs: number): Promise<Freed> {
  const freed = new Set<string>();
  const live = new Set<string>();
  const endedMs = new Map(ends.map((end) => [keyOf(end), end.workEndedMs ?? nowMs]));
  for (let from = 0; from < ends.length; from += most) {
    const some = ends.slice(from, from + most);
    const rows = await all<{ device_id: DeviceId; token: number; expires_ms: number }>(
      `DELETE FROM leases WHERE (device_id, token) IN (VALUES ${some.map(() => '(?, ?)').join(', ')})
       RETURNING device_id, token, expires_ms`,
      some.flatMap(({ lease }) => [lease.deviceId, lease.token]),
    );
    for (const { device_id: deviceId, token, expires_ms: expiresMs } of rows) {
      const key = `${token} ${deviceId}`;
      freed.add(key);
      if (expiresMs > (endedMs.get(key) ?? nowMs)) live.add(key);
    }
  }
  return { freed, live };
}

const stale = ({ job, lease: { deviceId, token } }: JobEnd): HildaError =>
  new HildaError('LEASE_STALE', `lease ${token} of ${deviceId}, under which ${job} ran, is no longer valid`, {
    details: { deviceId, token, jobId: job } satisfies Record<string, Json>,
  });
