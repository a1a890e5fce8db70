import type { Knex } from 'knex';
import { asHildaError, HildaError, toErrorDocument } from '../core/errors.js';
import type { DeviceId, MeasurementId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import type { StoredEvent, TrialOfMeasurement } from './contract.js';
import { type Database, insertAll, type Write } from './database.js';
import type { Claimed, Ended, JobEnd, JobStore } from './job-contract.js';
import { type JobRow, jobColumns, jobEvent, ordinalOfJob, toJob } from './job-rows.js';
import { selectAll } from './jobs.js';
import { toJsonText } from './json-columns.js';
import { measurementEvent, noteInTrial, toRow } from './measurements.js';
import { requireTrialIn } from './trials.js';

/** Rows of so many columns fit one statement of any engine. */
const most = 500;

/** The beginning and the end of attempts: lease, job, result and events of many devices in a few statements. */
export function jobTurnStore(database: Database): Pick<JobStore, 'claimJobs' | 'endJobs' | 'renewLeases'> {
  return {
    claimJobs: (claims, ttlMs) =>
      database.write(async (write) => {
        const { db, nowMs, publishAll } = write;
        const ids = claims.map(({ deviceId }) => deviceId);
        const held = await selectAll<{ device_id: DeviceId }>(ids, (some) =>
          db('leases').select('device_id').whereIn('device_id', some).where('expires_ms', '>', nowMs),
        );
        const taken = new Set(held.map(({ device_id: id }) => id));
        const free = claims.filter(({ deviceId }) => !taken.has(deviceId));
        const bumped = await selectAll<{ id: DeviceId; last_token: number }>(
          free.map(({ deviceId }) => deviceId),
          (some) =>
            db('devices').whereIn('id', some).increment('last_token', 1).returning(['id', 'last_token']),
        );
        const tokens = new Map(bumped.map(({ id, last_token }) => [id, last_token]));
        const begun = await updateJobs(
          db,
          free.map(({ job, deviceId }) => [ordinalOfJob(job) ?? 0, deviceId, tokens.get(deviceId) ?? 0]),
          ['device_id', 'token'],
          `state = 'running', device_id = v.device_id, token = v.token, attempt = attempt + 1, started_ms = ${nowMs}, ended_ms = NULL`,
          "jobs.state = 'queued'",
        );
        const rows = new Map(begun.map((row) => [row.ordinal, row]));
        const expiresMs = nowMs + ttlMs;
        const leases: object[] = [];
        const events: Pick<StoredEvent, 'topic' | 'data'>[] = [];
        const answers = claims.map(({ job, deviceId, holder }): Claimed => {
          if (taken.has(deviceId)) return 'taken';
          const row = rows.get(ordinalOfJob(job) ?? 0);
          if (!row) return 'closed';
          const token = row.token as number;
          leases.push({ device_id: deviceId, holder, token, expires_ms: expiresMs });
          events.push(jobEvent(row), { topic: 'devices', data: { type: 'leased', deviceId, holder } });
          return { job: toJob(row), lease: { deviceId, holder, token, expiresMs } };
        });
        for (let from = 0; from < leases.length; from += most)
          await db('leases')
            .insert(leases.slice(from, from + most))
            .onConflict('device_id')
            .merge();
        await publishAll(events);
        return answers;
      }),

    endJobs: (ends) => database.write((write) => endAll(write, ends)),

    renewLeases: (holderPrefix, ttlMs) =>
      database.write(({ db, nowMs }) =>
        db('leases')
          .whereRaw('substr(holder, 1, ?) = ?', [holderPrefix.length, holderPrefix])
          .where('expires_ms', '>', nowMs)
          .update({ expires_ms: nowMs + ttlMs }),
      ),
  };
}

async function endAll(write: Write, ends: readonly JobEnd[]): Promise<(Ended | HildaError)[]> {
  const { db, nowMs, next, publishAll } = write;
  const live = await freeLeases(db, ends, nowMs);
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
    db,
    ends.filter((end) => !refusals.has(end)).map(row),
    ['token', 'state', 'result', 'error', 'ended_ms'],
    'state = v.state, result = COALESCE(v.result, jobs.result), error = v.error, ended_ms = v.ended_ms',
    "jobs.token = v.token AND jobs.state = 'running'",
  );
  const rows = new Map(updated.map((one) => [one.ordinal, one]));
  const events: Pick<StoredEvent, 'topic' | 'data'>[] = [];
  const measurements: object[] = [];
  for (const end of ends) {
    const { deviceId } = end.lease;
    if (live.has(keyOf(end)) && end.handOver) {
      const { holder, ttlMs } = end.handOver;
      const { token } = end.lease;
      await db('leases').insert({ device_id: deviceId, holder, token, expires_ms: nowMs + ttlMs });
      events.push({ topic: 'devices', data: { type: 'leased', deviceId, holder } });
    } else if (live.has(keyOf(end))) events.push({ topic: 'devices', data: { type: 'freed', deviceId } });
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
  await insertAll(db, 'measurements', measurements);
  await publishAll(events);
  return ends.map(
    (end) =>
      refusals.get(end) ??
      unfit.get(end) ?? {
        job: toJob(rows.get(ordinalOfJob(end.job) ?? 0) as JobRow),
        measurement: stored.get(end) ?? null,
      },
  );
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

/** Frees the leases of these attempts; answers with those that were live. */
async function freeLeases(db: Knex, ends: readonly JobEnd[], nowMs: number): Promise<ReadonlySet<string>> {
  const live = new Set<string>();
  for (let from = 0; from < ends.length; from += most) {
    const some = ends.slice(from, from + most);
    // Knex's SQLite dialect answers a deletion with a count alone.
    const answer = await db.raw(
      `DELETE FROM leases WHERE (device_id, token) IN (VALUES ${some.map(() => '(?, ?)').join(', ')})
       RETURNING device_id, token, expires_ms`,
      some.flatMap(({ lease }) => [lease.deviceId, lease.token]),
    );
    const rows = (answer.rows ?? answer) as { device_id: DeviceId; token: number; expires_ms: number }[];
    for (const { device_id: deviceId, token, expires_ms: expiresMs } of rows)
      if (expiresMs > nowMs) live.add(`${token} ${deviceId}`);
  }
  return live;
}

const returned = jobColumns.map((column) => `jobs.${column}`).join(', ');

/** Updates jobs by ordinal from a list of values, with one statement for each few hundred. */
async function updateJobs(
  db: Knex,
  rows: readonly (readonly (string | number | null)[])[],
  columns: readonly string[],
  set: string,
  where: string,
): Promise<JobRow[]> {
  const updated: JobRow[] = [];
  for (let from = 0; from < rows.length; from += most) {
    const some = rows.slice(from, from + most);
    const values = some.map((row) => `(${row.map(() => '?').join(', ')})`).join(', ');
    const answer = await db.raw(
      `WITH v(ordinal, ${columns.join(', ')}) AS (VALUES ${values})
       UPDATE jobs SET ${set} FROM v WHERE jobs.ordinal = v.ordinal AND ${where} RETURNING ${returned}`,
      some.flat() as Knex.RawBinding[],
    );
    updated.push(...((answer.rows ?? answer) as JobRow[]));
  }
  return updated;
}

const stale = ({ job, lease: { deviceId, token } }: JobEnd): HildaError =>
  new HildaError('LEASE_STALE', `lease ${token} of ${deviceId}, under which ${job} ran, is no longer valid`, {
    details: { deviceId, token, jobId: job } satisfies Record<string, Json>,
  });
