import type { DeviceId, JobId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import type { StoredEvent } from './contract.js';
import type { JobRecord, JobState, NewJob } from './job-contract.js';
import { fromJsonText, toJsonText } from './json-columns.js';

export interface JobRow {
  readonly ordinal: number;
  readonly work: string;
  readonly network: string | null;
  readonly inputs: string | null;
  readonly devices: string;
  readonly priority: number;
  readonly share: string;
  readonly owner: string;
  readonly attached: boolean | number;
  readonly run_at_ms: number | null;
  readonly deadline_ms: number | null;
  readonly state: JobState;
  readonly attempt: number;
  readonly max_attempts: number;
  readonly device_id: DeviceId | null;
  readonly token: number | null;
  readonly idempotency_key: string | null;
  readonly request_hash: string | null;
  readonly result: string | null;
  readonly error: string | null;
  readonly created_ms: number;
  readonly started_ms: number | null;
  readonly ended_ms: number | null;
}

export const jobColumns = [
  'ordinal',
  'work',
  'network',
  'inputs',
  'devices',
  'priority',
  'share',
  'owner',
  'attached',
  'run_at_ms',
  'deadline_ms',
  'state',
  'attempt',
  'max_attempts',
  'device_id',
  'token',
  'idempotency_key',
  'request_hash',
  'result',
  'error',
  'created_ms',
  'started_ms',
  'ended_ms',
] as const satisfies readonly (keyof JobRow)[];

export const jobId = (ordinal: number): JobId => `j${ordinal}` as JobId;

/** Undefined for what is no id of a job. */
export function ordinalOfJob(id: string): number | undefined {
  const ordinal = /^j[1-9]\d{0,14}$/.test(id) ? Number(id.slice(1)) : Number.NaN;
  return Number.isSafeInteger(ordinal) ? ordinal : undefined;
}

const text = (value: Json | null): string | null => (value === null ? null : toJsonText(value));

export const toJobRow = (job: NewJob, ordinal: number, nowMs: number): JobRow => ({
  ordinal,
  work: toJsonText(job.work),
  network: text(job.network),
  inputs: text(job.inputs),
  devices: toJsonText(job.devices),
  priority: job.priority,
  share: job.share,
  owner: toJsonText(job.owner),
  attached: job.attached,
  run_at_ms: job.runAtMs,
  deadline_ms: job.deadlineMs,
  state: 'queued',
  attempt: 0,
  max_attempts: job.maxAttempts,
  device_id: null,
  token: null,
  idempotency_key: job.idempotencyKey,
  request_hash: job.requestHash,
  result: null,
  error: null,
  created_ms: nowMs,
  started_ms: null,
  ended_ms: null,
});

export function toJob(row: JobRow): JobRecord {
  const id = jobId(row.ordinal);
  const parse = (column: string): Json => fromJsonText(column, `job ${id}`);
  const parseOrNull = (column: string | null): Json | null => (column === null ? null : parse(column));
  return {
    id,
    work: parse(row.work),
    network: parseOrNull(row.network),
    inputs: parseOrNull(row.inputs),
    devices: parse(row.devices),
    priority: row.priority,
    share: row.share,
    owner: parse(row.owner),
    attached: Boolean(row.attached),
    runAtMs: row.run_at_ms,
    deadlineMs: row.deadline_ms,
    state: row.state,
    attempt: row.attempt,
    maxAttempts: row.max_attempts,
    deviceId: row.device_id,
    token: row.token,
    idempotencyKey: row.idempotency_key,
    requestHash: row.request_hash,
    result: parseOrNull(row.result),
    error: parseOrNull(row.error),
    createdMs: row.created_ms,
    startedMs: row.started_ms,
    endedMs: row.ended_ms,
  };
}

type Told = Pick<JobRow, 'ordinal' | 'state' | 'share' | 'device_id' | 'attempt'>;

/** Without what it yielded: readers ask for the job. */
export const jobEvent = (row: Told): Pick<StoredEvent, 'topic' | 'data'> => ({
  topic: 'jobs',
  data: {
    type: 'job',
    id: jobId(row.ordinal),
    state: row.state,
    share: row.share,
    deviceId: row.device_id,
    attempt: row.attempt,
  },
});
