import type { Clock } from '../core/clock.js';
import { asHildaError, HildaError, toErrorDocument } from '../core/errors.js';
import type { Deployment } from '../devices/contract.js';
import { isAway } from '../fleet/away.js';
import { deployedTo, nothingDeployed } from '../jobs/deployments.js';
import type { JobWork } from '../jobs/job.js';
import type { Store } from '../store/contract.js';
import { mayPass } from '../store/late-writes.js';
import type { RolloutDevice, RolloutRecord, RunningRecord } from '../store/rollout-contract.js';
import { bodyOf, type DeviceBody, runningBodyOf } from './device-body.js';
import type { RolloutRequest } from './request.js';
import { type Limits, type StepJobs, stepJob } from './step-jobs.js';

interface RestoreParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly jobs: StepJobs;
  readonly life: AbortSignal;
}

/** Between two tries to put a device back: twice as long each time. */
const restoreAgainMs = 1000;
const restoreEverMs = 30_000;

/**
 * Asks what the device really runs, and writes what it ran before where that is something else. Tries again until `restoreS` is over;
 * then the device is `failed`.
 */
export async function restoreDevice(
  rollout: RolloutRecord,
  device: RolloutDevice,
  request: RolloutRequest,
  parts: RestoreParts,
): Promise<RolloutDevice> {
  const { store, clock, life } = parts;
  const { deviceId } = device;
  const { place, previous = null } = bodyOf(device.body);
  const endUs = clock.monotonicUs() + 1e6 * request.restoreS;
  let { attempt } = device;
  for (let waitMs = restoreAgainMs; ; waitMs = Math.min(restoreEverMs, 2 * waitMs)) {
    const withinMs = Math.max(1, (endUs - clock.monotonicUs()) / 1000);
    try {
      if (place === 'flash') await reflash(rollout, { ...device, attempt }, previous, { withinMs }, parts);
      const { rollout: was = null, ...rest } = previous ?? {};
      const running = previous
        ? { ...(rest as Omit<RunningRecord, 'deviceId' | 'rollout'>), rollout: was }
        : null;
      return await store.stepDevice(rollout.id, deviceId, { step: 'restored', running });
    } catch (thrown) {
      life.throwIfAborted();
      const error = asHildaError(thrown);
      const isLate = clock.monotonicUs() + 1000 * waitMs >= endUs;
      if (isLate || !(isAway(error) || error.retryable || isLost(error, true))) {
        if (mayPass(error)) throw error;
        const { code, message } = device.reason ?? { code: error.code, message: '' };
        const both = `${message}; and it could not be put back: ${error.message}`;
        const reason = toErrorDocument(new HildaError(code, both, { details: { restoring: error.code } }));
        return await store.stepDevice(rollout.id, deviceId, { step: 'failed', reason, running: null });
      }
      attempt++;
      await store.stepDevice(rollout.id, deviceId, { step: 'rolling-back', attempt });
      await clock.sleep(waitMs, { signal: life });
    }
  }
}

async function reflash(
  rollout: RolloutRecord,
  device: RolloutDevice,
  previous: DeviceBody['previous'],
  limits: Limits,
  { store, jobs }: Pick<RestoreParts, 'store' | 'jobs'>,
): Promise<void> {
  const { deviceId } = device;
  if (!previous) {
    const erased = stepJob(jobs, rollout, device, null, limits, 'erase', { kind: 'erase' });
    // A device that cannot remove it keeps it, and nobody runs it.
    await erased.catch((thrown: unknown) => {
      if (asHildaError(thrown).details.ability === undefined) throw thrown;
    });
    for (const [key, value] of Object.entries(nothingDeployed(deviceId))) await store.setValue(key, value);
    return;
  }
  const { network, inputs, deployment } = runningBodyOf(previous.body);
  if (deployment && (await holds(rollout, device, deployment, limits, { store, jobs }))) return;
  if (!network)
    throw new HildaError(
      'NOT_FOUND',
      'what it ran before was deployed by an earlier version, which kept no model',
    );
  const again = { network, inputs };
  const outcome = await stepJob(jobs, rollout, device, again, limits, 'restore', {
    kind: 'deploy',
    ranges: null,
  });
  const restored = outcome.job.result as unknown as Deployment;
  if (deployment && restored.programCrc !== deployment.programCrc)
    throw new HildaError('SELF_TEST_FAILED', 'the program that it ran before comes out otherwise now');
}

/** Whether the board runs this deployment: one input is answered only by the program that it was made for. */
async function holds(
  rollout: RolloutRecord,
  device: RolloutDevice,
  deployment: Deployment,
  limits: Limits,
  { store, jobs }: Pick<RestoreParts, 'store' | 'jobs'>,
): Promise<boolean> {
  const sizes = [deployment.input, ...deployment.moreInputs].map(({ dims }) =>
    dims.reduce((n, dim) => n * dim, 1),
  );
  const values = Array.from({ length: sizes.reduce((sum, size) => sum + size, 0) }, () => 0);
  const work: JobWork = { kind: 'runDeployed', deployment };
  try {
    await stepJob(jobs, rollout, device, null, limits, 'ask', work, { values });
  } catch (thrown) {
    if (asHildaError(thrown).code === 'STATE_CONFLICT') return false;
    throw thrown;
  }
  const told = await deployedTo(device.deviceId, store);
  return told?.programCrc === deployment.programCrc;
}

/** The job ended with its daemon, or was cancelled by hand; or its device had not come back after a restart. */
export const isLost = ({ code }: HildaError, isTakenUp: boolean): boolean =>
  code === 'INTERRUPTED' || (code === 'DEVICE_GONE' && isTakenUp);
