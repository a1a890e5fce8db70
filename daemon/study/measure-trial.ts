import { asHildaError, HildaError } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import type { Measurement } from '../core/measurement.js';
import { pooledWith } from '../fleet/equivalence.js';
import { faultOf } from '../fleet/suspicion.js';
import { structureHash } from '../network/canonical-text.js';
import type { Graph } from '../network/graph.js';
import type { TrialRecord } from '../store/contract.js';
import { deviceMetric } from './spec.js';
import type { TrialContext } from './trial-context.js';

export interface Taken {
  readonly measurement: Measurement;
  /** Whether the device runs a network of its own, e.g. int8; undefined where it was not asked. */
  readonly classifies: boolean | undefined;
}

/**
 * A trial's network measured on one device of the study or an equivalent one. A measurement that a killed run, or an
 * earlier try of a held trial, had already stored counts; it is not taken twice. A trial that is complete takes it late.
 * Throws DEVICE_GONE or STATE_CONFLICT when no device is there, and what measuring throws.
 */
export async function measureOrRecall(
  trial: TrialRecord,
  deviceId: DeviceId,
  network: Graph,
  context: TrialContext,
  signal: AbortSignal,
): Promise<Taken> {
  const { store, spec } = context;
  const hasAny = Object.keys(trial.measurements).length > 0;
  const pooled = hasAny ? await pooledWith(deviceId, store) : [];
  const id = pooled.map((other) => trial.measurements[other]).find((found) => found !== undefined);
  const stored = id && (await store.measurement(id));
  if (stored?.verdict === 'valid') return { measurement: stored, classifies: undefined };
  try {
    return await measure(trial, deviceId, network, context, signal);
  } catch (thrown) {
    const error = asHildaError(thrown);
    // Where there are several devices, a person must know on which one the network does not run.
    if (faultOf(error) !== 'network' || spec.devices.length === 1) throw error;
    throw new HildaError(error.code, `on ${deviceId}, ${error.message}`, {
      cause: error,
      details: error.details,
    });
  }
}

/** Boards that passed the equivalence test stand in for each other. */
async function measure(
  trial: TrialRecord,
  deviceId: DeviceId,
  network: Graph,
  { spec, jobs, protocol, priority = 0 }: TrialContext,
  signal: AbortSignal,
): Promise<Taken> {
  const { studyId, number, state } = trial;
  const ramMetric = deviceMetric('peakRamBytes', spec, spec.devices.indexOf(deviceId));
  const ramBytes = Math.min(
    ...spec.constraints.flatMap(({ metric, max }) => (metric === ramMetric ? [max] : [])),
  );
  const { measurement, classifies } = await jobs.run(
    {
      work: {
        kind: 'measure',
        protocol,
        calibration: null,
        ramBytes: Number.isFinite(ramBytes) ? ramBytes : null,
      },
      network: { structure: structureHash(network) },
      devices: { pool: deviceId },
      owner: { kind: 'study', study: studyId, trial: number, late: state === 'complete' },
      priority,
      maxAttempts: spec.attempts,
      attached: true,
      given: { network },
    },
    { signal },
  );
  if (!measurement) throw new HildaError('MEASUREMENT_INVALID', `no measurement on ${deviceId}`);
  return { measurement, classifies: classifies ?? undefined };
}
