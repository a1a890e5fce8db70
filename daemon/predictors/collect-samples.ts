import type { Architecture } from '../core/architecture.js';
import { asHildaError, HildaError } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import { type OperatorCost, speedOf } from '../core/measurement.js';
import { Xoshiro128 } from '../core/rng.js';
import { isAtFault, isAway } from '../fleet/away.js';
import { faultOf } from '../fleet/suspicion.js';
import type { JobRequest } from '../jobs/job.js';
import type { Jobs } from '../jobs/jobs.js';
import type { Protocol } from '../measure/protocol.js';
import { withinOf } from '../measure/sessions.js';
import { structureHash } from '../network/canonical-text.js';
import type { Space } from '../search/spaces/contract.js';
import type { MeasurementRecord } from '../store/contract.js';
import { activeNetworks, type NetworkChoice, randomNetworks } from './choose-networks.js';
import { countedOperators, profiledOperators } from './operator-parts.js';
import type { PredictorSample } from './predictor-body.js';
import { notProfiled, type Profile, withParts } from './sample-parts.js';

export interface CollectOptions {
  readonly jobs: Pick<Jobs, 'run'>;
  readonly space: Space;
  readonly deviceId: DeviceId;
  readonly protocol: Protocol;
  /** Which networks: given ones first, then random ones. */
  readonly given?: readonly Architecture[];
  readonly count: number;
  /** How those after the first are chosen; default `random`. */
  readonly choice?: NetworkChoice;
  readonly seed: number;
  /** What was measured before this moment is measured again: a check of today needs today's figures. Default 0. */
  readonly recallSinceMs?: number;
  /** Whether each network is profiled by operator too. */
  readonly profile: boolean;
  readonly signal: AbortSignal;
  readonly onProgress?: (done: number) => Promise<void>;
}

export interface Collected {
  readonly samples: readonly PredictorSample[];
  readonly records: readonly MeasurementRecord[];
  /** Networks that gave no valid measurement, and why. */
  readonly failures: readonly string[];
  /** How many networks were chosen for which reason. */
  readonly reasons: Readonly<Record<string, number>>;
}

/** So many networks may fail before the campaign gives up, beside a fifth of those asked for. */
const toleratedFailures = 3;

/**
 * Measures whole networks of a space on one device, profiled by operator where wanted. A network that was validly
 * measured on the same target under the same protocol before is not measured again, so that a campaign that was cut
 * short goes on where it stood. Throws where the device left or was set aside; a network that ended in a fault, its own or the
 * device's, and a measurement that is not valid, are counted.
 */
export async function collectSamples(options: CollectOptions): Promise<Collected> {
  const { space, count, seed, signal, onProgress, given = [], choice = 'random' } = options;
  const rng = Xoshiro128.fromSeed(seed);
  const samples: PredictorSample[] = [];
  const profiles: Profile[] = [];
  const records: MeasurementRecord[] = [];
  const failures: string[] = [];
  const reasons: Record<string, number> = {};
  const networks =
    choice === 'active'
      ? activeNetworks(space, given, count, rng, samples)
      : randomNetworks(space, given, count, rng, { covering: options.profile });
  for (const { architecture, reason } of networks) {
    signal.throwIfAborted();
    reasons[reason] = (reasons[reason] ?? 0) + 1;
    try {
      const { sample, record, profile } = await takeSample(architecture, options);
      samples.push(sample);
      records.push(record);
      profiles.push(profile);
    } catch (thrown) {
      const error = asHildaError(thrown);
      // A device that was found at fault once may do the next one; the pool sets it aside when it does not.
      if (!isAtFault(error) && (isAway(error) || faultOf(error) === undefined)) throw error;
      failures.push(`${error.code}: ${error.message}`);
      if (failures.length > toleratedFailures + count / 5) {
        throw new HildaError(
          'MEASUREMENT_INVALID',
          `${failures.length} networks gave no valid measurement; the last: ${failures.at(-1)}`,
          { cause: error },
        );
      }
    }
    await onProgress?.(samples.length + failures.length);
  }
  return { samples: withParts(samples, profiles, space), records, failures, reasons };
}

async function takeSample(
  architecture: Architecture,
  { jobs, space, deviceId, protocol, recallSinceMs = 0, profile, signal }: CollectOptions,
): Promise<{
  readonly sample: PredictorSample;
  readonly record: MeasurementRecord;
  readonly profile: Profile;
}> {
  const network = space.network(architecture);
  const hash = structureHash(network);
  const request: Omit<JobRequest, 'work'> = {
    network: { structure: hash },
    devices: { device: deviceId },
    owner: { kind: 'campaign', name: space.id },
    attached: true,
    given: { network },
  };
  const measure = {
    kind: 'measure',
    protocol,
    calibration: null,
    ramBytes: null,
    recall: true,
    recallSinceMs,
  } as const;
  const { measurement: record } = await jobs.run({ ...request, work: measure, maxAttempts: 2 }, { signal });
  if (!record) throw new HildaError('MEASUREMENT_INVALID', `no measurement on ${deviceId}`);
  if (record.verdict !== 'valid')
    throw new HildaError('MEASUREMENT_INVALID', `${record.verdict}: ${record.reason}`);
  const profiled = profile ? await profileOf(record, request, jobs, signal) : notProfiled;
  return {
    record,
    sample: {
      architecture: architecture as PredictorSample['architecture'],
      structureHash: hash,
      measurementId: record.id,
      value: speedOf(record).value,
      deviation: record.latency ? withinOf(record.latency.normalisedCiUs) : 0,
      parts: [],
      blocks: [],
    },
    profile: profiled,
  };
}

/** By operator, from a run apart; what a board counts by itself where the device cannot profile. */
async function profileOf(
  record: MeasurementRecord,
  request: Omit<JobRequest, 'work'>,
  jobs: Pick<Jobs, 'run'>,
  signal: AbortSignal,
): Promise<Profile> {
  try {
    const { value } = await jobs.run({ ...request, work: { kind: 'profile' } }, { signal });
    return { operators: profiledOperators(value as readonly OperatorCost[]), counted: false };
  } catch (thrown) {
    if (asHildaError(thrown).details.ability !== 'profile') throw thrown;
    return { operators: countedOperators(record), counted: true };
  }
}
