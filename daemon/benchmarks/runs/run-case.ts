import type { Clock } from '../../core/clock.js';
import { asHildaError, HildaError, toErrorDocument } from '../../core/errors.js';
import type { JobId, MeasurementId } from '../../core/ids.js';
import type { Json } from '../../core/json.js';
import { unlessAborted } from '../../core/unless-aborted.js';
import type { AttemptNote, JobRequest, ModelRef, Outcome } from '../../jobs/job.js';
import type { Jobs } from '../../jobs/jobs.js';
import { parseSelector } from '../../jobs/selector.js';
import type { Protocol } from '../../measure/protocol.js';
import type { BenchmarkCaseRecord, BenchmarkStore } from '../../store/benchmark-contract.js';
import type { JobRecord } from '../../store/contract.js';
import { mayPass } from '../../store/late-writes.js';

export interface CaseParts {
  readonly store: BenchmarkStore;
  readonly jobs: Pick<Jobs, 'submit' | 'show' | 'cancel'>;
  readonly clock: Clock;
  readonly protocol: Protocol;
  readonly attempts: number;
  readonly deadlineMs: number | null;
  /** Until then a device that is away is waited for, on the clock's monotonic scale. */
  readonly patientUntilUs: number;
  readonly signal: AbortSignal;
  readonly cancelled: AbortSignal;
}

/** Between two looks at a device that is away, or at a queue that is full; twice as long after each look at one that is away. */
const againMs = 1000;
/** Each look is a job: one a second would fill the store where a part of a fleet is away. */
const mostAgainMs = 15_000;

/**
 * Takes one measurement of a run and stores how it ended. The job is asked for under a key of the case, so that a daemon that
 * goes on with the run finds the job of its predecessor. Throws where the run ends, the daemon stops, or the store takes nothing.
 */
export async function runCase(one: BenchmarkCaseRecord, parts: CaseParts): Promise<void> {
  const { clock, patientUntilUs, signal } = parts;
  for (let tried = 0; ; ) {
    signal.throwIfAborted();
    const heard: AttemptNote[] = [];
    const end = await endOf(await attempt(one, tried, parts, heard), parts);
    const code = end.error?.code;
    const isFull = code === 'QUEUE_FULL';
    const isAway = code === 'DEVICE_GONE' && clock.monotonicUs() < patientUntilUs;
    if (!isFull && !isAway) {
      await parts.store.endBenchmarkCase(one.run, one.number, { ...end, heard: heard as unknown as Json });
      return;
    }
    if (isAway) tried++;
    const patientMs = Math.max(0, (patientUntilUs - clock.monotonicUs()) / 1000);
    const waitMs = isAway ? Math.min(againMs * 2 ** (tried - 1), mostAgainMs, patientMs) : againMs;
    await clock.sleep(waitMs, { signal });
  }
}

interface Attempted {
  readonly job: JobRecord | null;
  readonly outcome: Outcome | null;
  readonly error: HildaError | null;
}

async function attempt(
  one: BenchmarkCaseRecord,
  tried: number,
  parts: CaseParts,
  heard: AttemptNote[],
): Promise<Attempted> {
  const { jobs, protocol, attempts, deadlineMs, signal, cancelled } = parts;
  const request: JobRequest = {
    work: { kind: 'measure', protocol, calibration: null, ramBytes: null },
    network: one.asked as unknown as ModelRef,
    devices: parseSelector(one.place),
    owner: { kind: 'benchmark', name: one.run },
    maxAttempts: attempts,
    deadlineMs,
    attached: false,
    idempotencyKey: `benchmark ${one.run} case ${one.number} try ${tried}`,
    given: { onAttempt: (note) => void heard.push(note) },
  };
  let job: JobRecord | null = null;
  try {
    const submitted = await jobs.submit(request);
    job = submitted.record;
    return { job, outcome: await unlessAborted(submitted.done, signal), error: null };
  } catch (thrown) {
    if (job && cancelled.aborted) await jobs.cancel(job.id).catch(() => {});
    signal.throwIfAborted();
    return { job, outcome: null, error: asHildaError(thrown) };
  }
}

/** Throws what says nothing of the case: the daemon stops, or the store takes nothing. */
async function endOf(
  { job, outcome, error }: Attempted,
  { jobs }: Pick<CaseParts, 'jobs'>,
): Promise<Parameters<BenchmarkStore['endBenchmarkCase']>[2]> {
  const jobId = job?.id ?? null;
  if (outcome) {
    const { measurement } = outcome;
    if (!measurement) throw new HildaError('INTERNAL', `the job ${jobId} ended without a measurement`);
    const invalid =
      measurement.verdict === 'valid'
        ? null
        : new HildaError('MEASUREMENT_INVALID', `${measurement.verdict}: ${measurement.reason}`);
    return {
      state: invalid ? 'failed' : 'done',
      jobId,
      deviceId: measurement.deviceId,
      measurementId: measurement.id,
      error: invalid && toErrorDocument(invalid),
    };
  }
  const failure = error as HildaError;
  if (mayPass(failure)) throw failure;
  const stored = job && (await jobs.show(job.id as JobId));
  const isOver = stored !== null && stored.state !== 'queued' && stored.state !== 'running';
  if (failure.code === 'INTERRUPTED' && !isOver) throw failure;
  return {
    state: stored?.state === 'cancelled' ? 'cancelled' : 'failed',
    jobId,
    deviceId: stored?.deviceId ?? null,
    measurementId: (stored?.result as { measurementId?: MeasurementId } | null)?.measurementId ?? null,
    error: toErrorDocument(failure),
  };
}
