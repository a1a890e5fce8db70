import type { HildaError } from '../core/errors.js';
import type { DeviceId, JobId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import type { Measurement } from '../core/measurement.js';
import type { DeviceRecord, Lease, MeasurementRecord, TrialOfMeasurement } from './records.js';
import type { NewRunning } from './rollout-contract.js';

export type JobState = 'queued' | 'running' | 'done' | 'failed' | 'cancelled';

/** One piece of device work, as data. What the JSON fields hold is described in daemon/jobs/job.ts. */
export interface JobRecord {
  readonly id: JobId;
  readonly work: Json;
  /** Which network; null where the work needs none. */
  readonly network: Json | null;
  readonly inputs: Json | null;
  /** On which devices it may run. */
  readonly devices: Json;
  /** Higher goes first. */
  readonly priority: number;
  /** Jobs of one priority take turns between their shares, e.g. `study:study-3`. */
  readonly share: string;
  readonly owner: Json;
  /** Whether it goes when its client goes. */
  readonly attached: boolean;
  /** Not before; null: at once. */
  readonly runAtMs: number | null;
  /** Fails unless it ran by then; null: never. */
  readonly deadlineMs: number | null;
  readonly state: JobState;
  /** How often it was begun. */
  readonly attempt: number;
  readonly maxAttempts: number;
  /** Where it runs, or ran last. */
  readonly deviceId: DeviceId | null;
  /** Of the lease that it runs under, or ran under last. */
  readonly token: number | null;
  readonly idempotencyKey: string | null;
  readonly requestHash: string | null;
  /** What it yielded; also of a queued one that is repeated. */
  readonly result: Json | null;
  /** An error document: why it failed, or what its last attempt met. */
  readonly error: Json | null;
  readonly createdMs: number;
  readonly startedMs: number | null;
  readonly endedMs: number | null;
}

export type NewJob = Omit<
  JobRecord,
  | 'id'
  | 'state'
  | 'attempt'
  | 'deviceId'
  | 'token'
  | 'result'
  | 'error'
  | 'createdMs'
  | 'startedMs'
  | 'endedMs'
>;

/** A device for a job. */
export interface Claim {
  readonly job: JobId;
  readonly deviceId: DeviceId;
  readonly holder: string;
}

/** `taken`: another holder has the device. `closed`: the job is no longer queued. */
export type Claimed =
  | { readonly job: JobRecord; readonly lease: Lease; readonly device: DeviceRecord }
  | 'taken'
  | 'closed';

/** How one attempt of a job ended. */
export interface JobEnd {
  readonly job: JobId;
  readonly lease: Lease;
  /** `queued`: it runs again. */
  readonly state: Exclude<JobState, 'running'>;
  readonly result: Json | null;
  readonly error: Json | null;
  /** When the work ended, where that was before now: a lease that runs out while nothing can be stored was not lost. */
  readonly workEndedMs?: number;
  /** Stored with it; its id becomes `measurementId` of the result. */
  readonly measurement?: {
    readonly taken: Measurement;
    readonly trial?: TrialOfMeasurement;
  };
  /** The lease is handed over instead of freed: its token stays, holder and end are these. */
  readonly handOver?: { readonly holder: string; readonly ttlMs: number };
  /** What a person put on the device: it runs that from now on. */
  readonly running?: NewRunning;
  /** Values by key, stored with it. */
  readonly values?: Readonly<Record<string, Json>>;
}

export interface Ended {
  readonly job: JobRecord;
  readonly measurement: MeasurementRecord | null;
}

/** What is written together. */
export interface JobTurn {
  readonly ends?: readonly JobEnd[];
  readonly claims?: readonly Claim[];
  readonly jobs?: readonly NewJob[];
}

/** What became of each, in the order of the turn. */
export interface JobsTurned {
  readonly ended: readonly (Ended | HildaError)[];
  readonly claimed: readonly Claimed[];
  readonly submitted: readonly (JobRecord | HildaError)[];
}

/** Left out, a field excludes nothing. */
export interface JobFilter {
  readonly states?: readonly JobState[];
  readonly share?: string;
  readonly deviceId?: DeviceId;
}

/**
 * Jobs. Methods that take lists do them in one transaction, with a number of statements that does not depend on how many
 * devices there are.
 *
 * - A result, its job's state, the release of its lease and the events are one transaction: each result is stored once.
 * - At most one running job a device.
 */
export interface JobStore {
  /**
   * Ends attempts, then gives devices to jobs, then stores new jobs, in one transaction: a device that an end frees can be
   * claimed by the next job.
   *
   * An end is answered with LEASE_STALE where its lease ran out before the work ended, or another attempt has its job: nothing
   * of it is stored. It is answered with STATE_CONFLICT for a measurement of a trial that takes none; its job is failed.
   * Each device is claimed at most once. New jobs are queued in their order; one whose idempotency key is known is answered
   * with the job that has it, or with IDEMPOTENCY_CONFLICT where the request was another one.
   */
  turnJobs(turn: JobTurn, ttlMs: number): Promise<JobsTurned>;
  /** Ends jobs that are queued; those that are not are left out of the answer. */
  closeJobs(ids: readonly JobId[], state: 'failed' | 'cancelled', error: Json): Promise<JobRecord[]>;
  /** A failed or cancelled job is queued anew, as if it had not begun. STATE_CONFLICT for any other. */
  reviveJob(id: JobId): Promise<JobRecord>;
  /** Queues what a daemon that ended left running without a live lease. How many were. */
  requeueLostJobs(): Promise<number>;
  /** Forgets the oldest ended jobs beyond `keep`. */
  forgetJobs(keep: number): Promise<number>;
  /** Throws NOT_FOUND. */
  job(id: JobId): Promise<JobRecord>;
  /** Newest first. */
  jobs(filter: JobFilter & { readonly before?: JobId; readonly limit?: number }): Promise<JobRecord[]>;
  jobCount(filter: JobFilter): Promise<number>;
  /** Failed jobs of a device that ended since a moment, by error code, the most frequent first; those at a network's fault left out. */
  jobFailures(
    deviceId: DeviceId,
    sinceMs: number,
  ): Promise<{ readonly code: string; readonly count: number; readonly lastMs: number }[]>;
  /** How many jobs of a device ended since a moment, cancelled ones left out. */
  endedJobCount(deviceId: DeviceId, sinceMs: number): Promise<number>;
  /** Those that wait, oldest first. */
  queuedJobs(): Promise<JobRecord[]>;
  /** Prolongs every live lease whose holder begins so, with one statement. */
  renewLeases(holderPrefix: string, ttlMs: number): Promise<number>;
}
