import { HildaError } from '../core/errors.js';
import type { StoredEvent } from './contract.js';
import { insertAll, type Write } from './database.js';
import type { JobRecord, NewJob } from './job-contract.js';
import { type JobRow, jobEvent, jobId, toJob, toJobRow } from './job-rows.js';
import { selectAll } from './jobs.js';

/** Stores jobs as queued, see `JobStore.turnJobs`; with what is to be told of it. */
export async function submitAll(
  { db, all, nowMs, next }: Write,
  jobs: readonly NewJob[],
): Promise<{
  readonly submitted: (JobRecord | HildaError)[];
  readonly events: readonly Pick<StoredEvent, 'topic' | 'data'>[];
}> {
  if (jobs.length === 0) return { submitted: [], events: [] };
  const keys = jobs.flatMap(({ idempotencyKey: key }) => (key === null ? [] : [key]));
  const known = new Map<string, JobRow>();
  if (keys.length > 0)
    for (const row of await selectAll<JobRow>(keys, (some) => db('jobs').whereIn('idempotency_key', some)))
      known.set(row.idempotency_key as string, row);
  const fresh = new Set<string>();
  const isFresh = ({ idempotencyKey: key }: NewJob): boolean => {
    if (key === null) return true;
    if (known.has(key) || fresh.has(key)) return false;
    fresh.add(key);
    return true;
  };
  const isNew = jobs.map(isFresh);
  const many = isNew.filter(Boolean).length;
  let ordinal = many > 0 ? await next('jobs', many) : 0;
  const rows: JobRow[] = [];
  const submitted = jobs.map((job, i): JobRecord | HildaError => {
    if (!isNew[i]) {
      const before = known.get(job.idempotencyKey as string) as JobRow;
      return before.request_hash === job.requestHash ? toJob(before) : otherRequest(before);
    }
    const row = toJobRow(job, ordinal++, nowMs);
    rows.push(row);
    if (job.idempotencyKey !== null) known.set(job.idempotencyKey, row);
    return toJob(row);
  });
  await insertAll(all, 'jobs', rows);
  return { submitted, events: rows.map(jobEvent) };
}

const otherRequest = ({ ordinal, idempotency_key }: JobRow): HildaError =>
  new HildaError(
    'IDEMPOTENCY_CONFLICT',
    `the idempotency key ${idempotency_key} belongs to the job ${jobId(ordinal)}, which asks for something else`,
    { details: { jobId: jobId(ordinal) } },
  );
