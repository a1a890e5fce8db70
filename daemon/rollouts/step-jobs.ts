import type { Clock } from '../core/clock.js';
import { asHildaError, HildaError } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import type { DevicePool } from '../fleet/device-pool.js';
import type { JobRequest, JobWork, Outcome } from '../jobs/job.js';
import type { Jobs } from '../jobs/jobs.js';
import type { RolloutDevice, RolloutRecord } from '../store/rollout-contract.js';
import type { RolloutRequest } from './request.js';

export interface StepJobsOptions {
  readonly jobs: Pick<Jobs, 'submit' | 'cancel'>;
  readonly pool: Pick<DevicePool, 'presence'>;
  readonly clock: Clock;
  /** Ends with the daemon: jobs stay. */
  readonly life: AbortSignal;
}

export interface Limits {
  /** The job is cancelled where it aborts. */
  readonly signal?: AbortSignal | undefined;
  /** From now on, for the device to come and the job to end. */
  readonly withinMs: number;
}

/** How often a device that is away is looked for. */
const lookMs = 1000;
/** A device that holds on to a cancelled job is left alone after this. */
const leaveMs = 10_000;

/** Jobs of single devices that end within a time. */
export class StepJobs {
  readonly #options: StepJobsOptions;

  constructor(options: StepJobsOptions) {
    this.#options = options;
  }

  /** Resolves once the device is there. Throws DEVICE_GONE where it does not come in time, and the reason of an abort. */
  async present(device: DeviceId, { signal, withinMs }: Limits): Promise<void> {
    const { pool, clock, life } = this.#options;
    const either = signal ? AbortSignal.any([life, signal]) : life;
    const untilUs = clock.monotonicUs() + 1000 * withinMs;
    for (;;) {
      either.throwIfAborted();
      if (pool.presence(device).present) return;
      const leftMs = (untilUs - clock.monotonicUs()) / 1000;
      if (leftMs <= 0)
        throw new HildaError('DEVICE_GONE', `${device} did not come within ${withinMs / 1000} s`, {
          details: { unopened: 'away' },
        });
      await clock.sleep(Math.min(lookMs, leftMs), { signal: either });
    }
  }

  /**
   * What came of a job. A job of the same key is the same job, also after a restart. Throws why it failed, DEVICE_TIMEOUT where it
   * does not end in time, and the reason of an abort.
   */
  async run(
    device: DeviceId,
    request: Omit<JobRequest, 'devices' | 'attached'> & { readonly idempotencyKey: string },
    limits: Limits,
  ): Promise<Outcome> {
    const { jobs, clock, life } = this.#options;
    const startUs = clock.monotonicUs();
    await this.present(device, limits);
    const leftMs = Math.max(1, limits.withinMs - (clock.monotonicUs() - startUs) / 1000);
    const { record, done } = await jobs.submit({ ...request, devices: { device }, attached: false });
    const over = new AbortController();
    const ends = AbortSignal.any([over.signal, life, ...(limits.signal ? [limits.signal] : [])]);
    const late = clock.sleep(leftMs, { signal: ends }).then((): never => {
      throw new HildaError(
        'DEVICE_TIMEOUT',
        `${device} did not end its work (${request.work.kind}) within ${limits.withinMs / 1000} s`,
      );
    });
    try {
      return await Promise.race([done, late]);
    } catch (thrown) {
      const isOver = await Promise.race([
        done.then(
          () => true,
          () => true,
        ),
        Promise.resolve(false),
      ]);
      if (!isOver && !life.aborted) await this.#leave(record.id);
      life.throwIfAborted();
      limits.signal?.throwIfAborted();
      throw asHildaError(thrown);
    } finally {
      over.abort();
      late.catch(() => {});
    }
  }

  /** Cancels a job. A device that does not let go of it keeps nobody waiting. */
  async #leave(id: Parameters<Jobs['cancel']>[0]): Promise<void> {
    const { jobs, clock } = this.#options;
    const over = new AbortController();
    const cancelled = jobs.cancel(id).catch(() => {});
    await Promise.race([cancelled, clock.sleep(leaveMs, { signal: over.signal }).catch(() => {})]);
    over.abort();
  }
}

/** A job of a step, by a key that names rollout, device, step and attempt: asked for twice, it is done once. */
export function stepJob(
  jobs: StepJobs,
  rollout: Pick<RolloutRecord, 'id'>,
  { deviceId, step, attempt }: RolloutDevice,
  subject: Pick<RolloutRequest, 'network' | 'inputs'> | null,
  limits: Limits,
  name: string,
  work: JobWork,
  inputs: { readonly blob: string } | { readonly values: readonly number[] } | null = null,
): Promise<Outcome> {
  const key = `${rollout.id}/${deviceId}/${step}/${name}/${attempt}`;
  const needsNetwork = work.kind !== 'runDeployed' && work.kind !== 'erase';
  const isWritten = work.kind === 'deploy' || work.kind === 'rehearse';
  return jobs.run(
    deviceId,
    {
      work,
      network: needsNetwork && subject ? subject.network : null,
      inputs: isWritten && subject ? subject.inputs : inputs,
      owner: { kind: 'rollout', name: rollout.id },
      maxAttempts: work.kind === 'measure' ? 3 : 1,
      idempotencyKey: key,
    },
    limits,
  );
}
