import { type HildaError, toErrorDocument } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import type { MeasurementRecord } from '../store/contract.js';
import type { JobEnd } from '../store/job-contract.js';
import type { Yield } from './attempt.js';
import type { Entry } from './entry.js';
import { type Outcome, trialOf } from './job.js';
import { afterFailure, afterMeasurement, type Next } from './retry.js';

/** How an attempt ended: what is stored of it, and what its owner hears once that is stored. */
export interface Ending {
  readonly end: Omit<JobEnd, 'job' | 'lease' | 'workEndedMs'>;
  readonly next: Next;
  /** What it gave; null for a failure. */
  readonly done: Yield | null;
  /** Why it failed; null where it gave something. */
  readonly error: HildaError | null;
  /** Of a failure: what an earlier attempt left counts as the result. */
  readonly kept: Entry['last'];
}

/** Of an attempt that gave something. */
export function yielded(entry: Entry, done: Yield): Ending {
  const { measurement, result, values, running, handOver } = done;
  const trial = trialOf(entry.job.owner);
  const isValid = measurement?.verdict === 'valid';
  if (measurement && !isValid) entry.attempts++;
  const tried = { attempts: entry.attempts, maxAttempts: entry.record.maxAttempts };
  const next = measurement ? afterMeasurement(isValid, tried) : 'final';
  const end = {
    state: next === 'again' ? ('queued' as const) : ('done' as const),
    result,
    error: null,
    ...(measurement && { measurement: { taken: measurement, ...(trial && { trial }) } }),
    ...(values && { values }),
    ...(running && { running }),
    ...(handOver && { handOver }),
  };
  return { end, next, done, error: null, kept: undefined };
}

/** Why an attempt ended, beside its error. */
export interface Circumstances {
  readonly deviceId: DeviceId;
  /** The daemon stops. */
  readonly isStopping: boolean;
  /** Whether a device of the job's selector is left that was not tried in vain. */
  readonly hasOthers: () => boolean;
}

/** Of an attempt that threw. */
export function failed(entry: Entry, error: HildaError, circumstances: Circumstances): Ending {
  const { deviceId, hasOthers } = circumstances;
  const { maxAttempts } = entry.record;
  const isCancelled = entry.abort.signal.aborted;
  const isStopping = circumstances.isStopping && !isCancelled;
  let next: Next = 'final';
  if (!isStopping && !isCancelled) {
    entry.attempts++;
    next = afterFailure(error, { attempts: entry.attempts, maxAttempts });
    if (next === 'elsewhere') {
      entry.attempts--;
      entry.excluded.add(deviceId);
      if (!hasOthers()) next = 'final';
    }
  }
  const kept = next === 'final' && !isCancelled && !isStopping ? entry.last : undefined;
  const staysQueued = next !== 'final' || (isStopping && entry.outlives);
  const end = {
    state: staysQueued
      ? ('queued' as const)
      : kept
        ? ('done' as const)
        : isCancelled || isStopping
          ? ('cancelled' as const)
          : ('failed' as const),
    result: kept ? { measurementId: kept.measurement.id, classifies: kept.classifies } : null,
    error: toErrorDocument(error) as unknown as Json,
  };
  return { end, next, done: null, error, kept };
}

/** What the owner of a job hears once its last attempt is stored, `taken` with it; null where there is no result. */
export function outcomeOf(
  { record: job }: Entry,
  { done, kept }: Ending,
  taken: MeasurementRecord | null,
): Outcome | null {
  if (done) {
    const { recalled, value, outputs, classifies } = done;
    return { job, measurement: taken ?? recalled ?? null, value, outputs, classifies };
  }
  if (!kept) return null;
  const { measurement, classifies } = kept;
  return { job, measurement, value: null, outputs: null, classifies };
}
