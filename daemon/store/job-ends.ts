import type { Knex } from 'knex';
import { asHildaError, HildaError, toErrorDocument } from '../core/errors.js';
import type { DeviceId, MeasurementId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import type { StoredEvent, TrialOfMeasurement } from './contract.js';
import { insertAll, type Write } from './database.js';
import { noteChange, setRunningIn } from './device-running.js';
import type { Ended, JobEnd } from './job-contract.js';
import { type JobRow, jobEvent, ordinalOfJob, toJob } from './job-rows.js';
import { toJsonText } from './json-columns.js';
import { measurementEvent, noteInTrial, toRow } from './measurements.js';
import { requireTrialIn } from './trials.js';
import { updateJobs } from './update-jobs.js';

/** Rows of so many columns fit one statement of any engine. */
const most = 500;

type News = Pick<StoredEvent, 'topic' | 'data'>;

/**
 * Ends attempts, see `JobStore.turnJobs`; with what is to be told of it. `held`: tokens of leases that stay until their devices,
 * `claimedNext`, are claimed by the same turn.
 */
export async function endAll(
  write: Write,
  ends: readonly JobEnd[],
  claimedNext: ReadonlySet<DeviceId>,
): Promise<{
  readonly ended: (Ended | HildaError)[];
  readonly held: ReadonlyMap<DeviceId, number>;
  readonly events: readonly News[];
}> {
  if (ends.length === 0) return { ended: [], held: new Map(), events: [] };
  const { db, all, nowMs, next } = write;
  const unfit = new Map<JobEnd, HildaError>();
  for (const end of ends) {
    const trial = end.measurement?.trial;
    const refused = trial && (await refusedBy(db, trial));
    if (refused) unfit.set(end, refused);
  }
  const measured = ends.filter((end) => end.measurement && !unfit.has(end));
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
      needsLease(end) ? (end.workEndedMs ?? nowMs) : null,
    ];
  };
  const updated = await updateJobs(
    all,
    ends.map(row),
    ['token', 'state', 'result', 'error', 'ended_ms', 'worked_ms'],
    'state = v.state, result = COALESCE(v.result, jobs.result), error = v.error, ended_ms = v.ended_ms',
    `jobs.token = v.token AND jobs.state = 'running' AND (v.worked_ms IS NULL OR EXISTS (SELECT 1 FROM leases
       WHERE leases.device_id = jobs.device_id AND leases.token = jobs.token AND leases.expires_ms > v.worked_ms))`,
  );
  const rows = new Map(updated.map((one) => [`${one.ordinal} ${one.token}`, one]));
  const rowOf = ({ job, lease }: JobEnd): JobRow | undefined =>
    rows.get(`${ordinalOfJob(job)} ${lease.token}`);
  const { freed, held } = await giveBack(write, ends, (end) => {
    if (!rowOf(end) || !needsLease(end)) return 'unknown';
    return claimedNext.has(end.lease.deviceId) ? 'passed on' : 'live';
  });
  const refusals = new Map<JobEnd, HildaError>();
  const stored = new Map<JobEnd, NonNullable<Ended['measurement']>>();
  const events: News[] = [];
  const measurements: object[] = [];
  for (const end of ends) {
    const { deviceId } = end.lease;
    const job = rowOf(end);
    if (job && end.handOver) {
      const { holder } = end.handOver;
      events.push({ topic: 'devices', data: { type: 'leased', deviceId, holder } });
    } else if (freed.has(end)) events.push({ topic: 'devices', data: { type: 'freed', deviceId } });
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
    if (end.running) {
      const { name, version } = end.running;
      await setRunningIn(write, deviceId, { ...end.running, rollout: null });
      await noteChange(write, { deviceId, rollout: null, step: 'deployed', name, version, reason: null });
    }
    events.push(jobEvent(job));
  }
  await insertAll(all, 'measurements', measurements);
  const ended = ends.map(
    (end) =>
      refusals.get(end) ??
      unfit.get(end) ?? {
        job: toJob(rowOf(end) as JobRow),
        measurement: stored.get(end) ?? null,
      },
  );
  return { ended, held, events };
}

/** Whether the end counts only where its lease had not run out when the work ended. */
const needsLease = ({ state, measurement, values }: JobEnd): boolean =>
  state === 'done' || measurement !== undefined || values !== undefined;

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

/** Of the lease of an end: it was there, and is; the same, and its device is claimed by the same turn; nobody knows. */
type LeaseState = 'live' | 'passed on' | 'unknown';

/** Frees the leases of ends, or hands them over. What is passed on is freed by the claim that follows. */
async function giveBack(
  { db, all, nowMs }: Write,
  ends: readonly JobEnd[],
  stateOf: (end: JobEnd) => LeaseState,
): Promise<{ readonly freed: ReadonlySet<JobEnd>; readonly held: ReadonlyMap<DeviceId, number> }> {
  const freed = new Set<JobEnd>();
  const held = new Map<DeviceId, number>();
  const given: JobEnd[] = [];
  for (const end of ends) {
    const { deviceId, token } = end.lease;
    const state = stateOf(end);
    if (state === 'passed on' && !end.handOver) {
      held.set(deviceId, token);
      freed.add(end);
    } else if (state !== 'unknown' && end.handOver) {
      const { holder, ttlMs } = end.handOver;
      await db('leases')
        .where({ device_id: deviceId, token })
        .update({ holder, expires_ms: nowMs + ttlMs });
    } else given.push(end);
  }
  for (let from = 0; from < given.length; from += most) {
    const some = given.slice(from, from + most);
    const rows = await all<{ device_id: DeviceId; token: number }>(
      `DELETE FROM leases WHERE (device_id, token) IN (VALUES ${some.map(() => '(?, ?)').join(', ')})
       RETURNING device_id, token`,
      some.flatMap(({ lease }) => [lease.deviceId, lease.token]),
    );
    const gone = new Set(rows.map((row) => `${row.token} ${row.device_id}`));
    for (const end of some) if (gone.has(`${end.lease.token} ${end.lease.deviceId}`)) freed.add(end);
  }
  return { freed, held };
}

const stale = ({ job, lease: { deviceId, token } }: JobEnd): HildaError =>
  new HildaError('LEASE_STALE', `lease ${token} of ${deviceId}, under which ${job} ran, is no longer valid`, {
    details: { deviceId, token, jobId: job } satisfies Record<string, Json>,
  });
