import type { Knex } from 'knex';
import { HildaError } from '../core/errors.js';
import type { DeviceId, JobId } from '../core/ids.js';
import type { Database } from './database.js';
import type { JobFilter, JobStore } from './job-contract.js';
import { type JobRow, jobEvent, ordinalOfJob, toJob } from './job-rows.js';
import { toJsonText } from './json-columns.js';

type Kept = Omit<JobStore, 'turnJobs' | 'renewLeases'>;

const ended = ['done', 'failed', 'cancelled'] as const;
const defaultLimit = 100;

export function jobStore(database: Database): Kept {
  return {
    closeJobs: (ids, state, error) =>
      database.write(async ({ db, nowMs, publishAll }) => {
        const rows = await selectAll<JobRow>(ordinals(ids), (some) =>
          db('jobs')
            .whereIn('ordinal', some)
            .where({ state: 'queued' })
            .update({ state, error: toJsonText(error), ended_ms: nowMs })
            .returning('*'),
        );
        await publishAll(rows.map(jobEvent));
        return rows.map(toJob);
      }),

    reviveJob: (id) =>
      database.write(async ({ db, publishAll }) => {
        const { ordinal, state } = await requireJob(db, id);
        if (state !== 'failed' && state !== 'cancelled')
          throw new HildaError('STATE_CONFLICT', `the job ${id} is ${state}`, {
            hint: 'Only failed and cancelled jobs can be retried.',
            details: { jobId: id, state },
          });
        const anew = {
          state: 'queued',
          attempt: 0,
          result: null,
          error: null,
          started_ms: null,
          ended_ms: null,
          attached: false,
        };
        const [row] = await db('jobs').where({ ordinal }).update(anew).returning<JobRow[]>('*');
        await publishAll([jobEvent(row as JobRow)]);
        return toJob(row as JobRow);
      }),

    requeueLostJobs: () =>
      database.write(async ({ db, nowMs, publishAll }) => {
        const rows = await db('jobs')
          .where({ state: 'running' })
          .whereNotExists(
            db('leases')
              .whereRaw('leases.device_id = jobs.device_id AND leases.token = jobs.token')
              .where('expires_ms', '>', nowMs),
          )
          .update({ state: 'queued' })
          .returning<JobRow[]>('*');
        await publishAll(rows.map(jobEvent));
        return rows.length;
      }),

    forgetJobs: (keep) =>
      database.write(({ db }) => {
        const oldest = db('jobs')
          .select('ordinal')
          .whereIn('state', ended)
          .orderBy('ordinal', 'desc')
          .offset(keep)
          .limit(1);
        return db('jobs').whereIn('state', ended).where('ordinal', '<=', oldest).delete();
      }),

    job: async (id) => toJob(await database.read((db) => requireJob(db, id))),

    jobs: async ({ before, limit = defaultLimit, ...filter }) => {
      const below = before === undefined ? undefined : ordinalOfJob(before);
      if (before !== undefined && below === undefined) throw unknown(before);
      const rows = await database.read<JobRow[]>((db) => {
        const query = matching(db, filter).orderBy('ordinal', 'desc').limit(limit);
        return below === undefined ? query : query.andWhere('ordinal', '<', below);
      });
      return rows.map(toJob);
    },

    jobCount: async (filter) => {
      const rows = await database.read<{ readonly count: number | string }[]>((db) =>
        matching(db, filter).count({ count: '*' }),
      );
      return Number(rows[0]?.count ?? 0);
    },

    jobFailures: async (deviceId, sinceMs) => {
      const rows = await database.read<{ code: string | null; count: number; last_ms: number }[]>((db) =>
        endedOn(db, deviceId, sinceMs)
          .where({ state: 'failed' })
          .whereRaw("coalesce(json_extract(error, '$.details.atFault'), '') <> 'network'")
          .select(db.raw("json_extract(error, '$.code') AS code"))
          .count({ count: '*' })
          .max({ last_ms: 'ended_ms' })
          .groupByRaw('1')
          .orderByRaw('2 DESC, 1'),
      );
      return rows.map(({ code, count, last_ms }) => ({
        code: code ?? 'INTERNAL',
        count: Number(count),
        lastMs: last_ms,
      }));
    },

    endedJobCount: async (deviceId, sinceMs) => {
      const [counted] = await database.read<{ count: number | string }[]>((db) =>
        endedOn(db, deviceId, sinceMs).whereIn('state', ['done', 'failed']).count({ count: '*' }),
      );
      return Number(counted?.count ?? 0);
    },

    queuedJobs: async () => {
      const rows = await database.read<JobRow[]>((db) =>
        db('jobs').where({ state: 'queued' }).orderBy('ordinal'),
      );
      return rows.map(toJob);
    },
  };
}

const unknown = (id: string): HildaError =>
  new HildaError('NOT_FOUND', `there is no job ${id}`, {
    hint: 'Jobs that ended long ago are forgotten; their measurements are not.',
    details: { jobId: id },
  });

async function requireJob(db: Knex, id: JobId): Promise<JobRow> {
  const ordinal = ordinalOfJob(id);
  const row: JobRow | undefined = ordinal && (await db('jobs').where({ ordinal }).first());
  if (!row) throw unknown(id);
  return row;
}

const ordinals = (ids: readonly JobId[]): number[] => ids.flatMap((id) => ordinalOfJob(id) ?? []);

function matching(db: Knex, { states, share, deviceId }: JobFilter): Knex.QueryBuilder {
  const query = db('jobs');
  if (states) query.whereIn('state', states);
  if (share !== undefined) query.where({ share });
  if (deviceId !== undefined) query.where({ device_id: deviceId });
  return query;
}

const endedOn = (db: Knex, deviceId: DeviceId, sinceMs: number): Knex.QueryBuilder =>
  db('jobs').where({ device_id: deviceId }).where('ended_ms', '>=', sinceMs);

/** An engine takes so many values in one question, at least. */
const most = 500;

/** What a query over a list yields, a part of the list at a time. */
export async function selectAll<Row, Value = string | number>(
  values: readonly Value[],
  query: (some: Value[]) => PromiseLike<Row[]>,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (let from = 0; from < values.length; from += most)
    rows.push(...(await query(values.slice(from, from + most))));
  return rows;
}
