import { asHildaError, type ErrorCode, HildaError } from '../core/errors.js';
import { sha256Hex } from '../core/hash.js';
import type { DeviceId } from '../core/ids.js';
import { type CostMetric, costsOf, type Measurement } from '../core/measurement.js';
import type { Evaluator } from '../evaluate/contract.js';
import type { DevicePool } from '../fleet/device-pool.js';
import { pooledWith } from '../fleet/equivalence.js';
import type { Protocol } from '../measure/protocol.js';
import { bytesPerElement, type Graph } from '../network/graph.js';
import { checkNetworkLimits } from '../network/limits.js';
import type { Constraint } from '../search/samplers/contract.js';
import type { Space } from '../search/spaces/contract.js';
import type { FinishedTrial, Store, TrialRecord } from '../store/contract.js';
import { addDeployedAccuracy } from './deployed-accuracy.js';
import { deviceMetric, deviceOf, type StudySpec } from './spec.js';

export interface TrialContext {
  readonly spec: StudySpec;
  readonly space: Space;
  readonly store: Store;
  readonly pool: DevicePool;
  readonly evaluator: Evaluator;
  readonly protocol: Protocol;
  /** Told of each step, so that a watcher sees life inside a long trial. */
  readonly onStep?: (step: string) => void;
}

/** The network itself is at fault: it will never run there, so no other attempt is made. */
const networkFaults: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'ARCHITECTURE_INVALID',
  'NETWORK_TOO_LARGE',
  'NETWORK_REJECTED',
  'DEVICE_OUT_OF_MEMORY',
  'OPERATOR_UNSUPPORTED',
  'SHAPE_UNKNOWN',
  'PROVIDER_FALLBACK',
]);
/** The device or the moment is at fault: another attempt may succeed. */
const deviceFaults: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'DEVICE_FAILED',
  'DEVICE_GONE',
  'DEVICE_TIMEOUT',
  'ADB_FAILED',
  'MESSAGE_INVALID',
  'LEASE_STALE',
  'MEASUREMENT_INVALID',
]);

/** Every tenth candidate is measured although predicted to break a limit, so that a wrong predictor is found out. */
const auditShare = 0.1;

type Outcome = Pick<FinishedTrial, 'state' | 'values' | 'reason'>;

/**
 * One architecture's way through the loop: free checks, prediction, measurements, accuracy. Whatever goes wrong with
 * the network or its device becomes the trial's outcome; only an abort and faults of the store are thrown.
 */
export async function runTrial(
  trial: TrialRecord,
  context: TrialContext,
  options: { readonly signal: AbortSignal },
): Promise<FinishedTrial> {
  const { studyId, number } = trial;
  try {
    return { studyId, number, ...(await decide(trial, context, options)) };
  } catch (thrown) {
    const error = asHildaError(thrown);
    if (networkFaults.has(error.code))
      return { studyId, number, state: 'infeasible', values: {}, reason: `${error.code}: ${error.message}` };
    if (deviceFaults.has(error.code))
      return { studyId, number, state: 'failed', values: {}, reason: `${error.code}: ${error.message}` };
    throw error;
  }
}

async function decide(
  trial: TrialRecord,
  context: TrialContext,
  { signal }: { readonly signal: AbortSignal },
): Promise<Outcome> {
  const { spec, space, evaluator } = context;
  const stats = space.stats(trial.architecture);
  const values: Record<string, number> = { macs: stats.macs, parameters: stats.parameters };
  const infeasible = (reason: string): Outcome => ({ state: 'infeasible', values, reason });

  const broken = brokenLimit(spec.constraints, values) ?? (await weightLimit(context, stats.weightBytes));
  if (broken) return infeasible(broken);
  const predicted = predictedBreak(trial, spec.constraints);
  if (predicted) return infeasible(predicted);
  const network = space.network(trial.architecture);
  checkNetworkLimits(network);

  /** Devices that run the float network itself, as far as is known. */
  const asItIs = new Set<number>();
  for (const [index, name] of spec.devices.entries()) {
    const deviceId = name as DeviceId;
    context.onStep?.(`measure on ${name}`);
    const { measurement, classifies } = await measureOrRecall(trial, deviceId, network, context, signal);
    if (classifies === false) asItIs.add(index);
    if (measurement.verdict !== 'valid') {
      return {
        state: 'failed',
        values,
        reason: `MEASUREMENT_INVALID: ${measurement.verdict} after ${spec.attempts} attempts: ${measurement.reason}`,
      };
    }
    for (const [metric, value] of Object.entries(costsOf(measurement))) {
      values[deviceMetric(metric as CostMetric, spec, index)] = value;
    }
    const limit = brokenLimit(spec.constraints, values);
    if (limit) return infeasible(limit);
  }

  context.onStep?.('evaluate');
  Object.assign(values, (await evaluator.evaluate(trial.architecture, { signal })).values);
  await addDeployedAccuracy(values, trial, asItIs, context, signal);
  const limit = brokenLimit(spec.constraints, values);
  if (limit) return infeasible(limit);
  const missing = spec.objectives.find(({ metric }) => values[metric] === undefined);
  if (missing)
    throw new HildaError('SPEC_INVALID', `nothing yields the metric ${missing.metric}`, {
      hint: `Known: ${Object.keys(values).join(', ')}.`,
    });
  return { state: 'complete', values, reason: null };
}

interface Taken {
  readonly measurement: Measurement;
  /** Whether the device runs a network of its own, e.g. int8; undefined where it was not asked. */
  readonly classifies: boolean | undefined;
}

/** A measurement that a killed run had already stored for this trial counts; it is not taken twice. */
async function measureOrRecall(
  trial: TrialRecord,
  deviceId: DeviceId,
  network: Graph,
  context: TrialContext,
  signal: AbortSignal,
): Promise<Taken> {
  const { store, spec } = context;
  const pooled = await pooledWith(deviceId, store);
  const id = pooled.map((other) => trial.measurements[other]).find((found) => found !== undefined);
  const stored = id && (await store.measurement(id));
  if (stored?.verdict === 'valid') return { measurement: stored, classifies: undefined };
  try {
    return await measure(trial, deviceId, network, context, signal);
  } catch (thrown) {
    const error = asHildaError(thrown);
    // Where there are several devices, a person must know on which one the network does not run.
    if (!networkFaults.has(error.code) || spec.devices.length === 1) throw error;
    throw new HildaError(error.code, `on ${deviceId}, ${error.message}`, {
      cause: error,
      details: error.details,
    });
  }
}

async function measure(
  trial: TrialRecord,
  deviceId: DeviceId,
  network: Graph,
  { spec, pool, store, protocol }: TrialContext,
  signal: AbortSignal,
): Promise<Taken> {
  const ramMetric = deviceMetric('peakRamBytes', spec, spec.devices.indexOf(deviceId));
  const ramBytes = Math.min(
    ...spec.constraints.flatMap(({ metric, max }) => (metric === ramMetric ? [max] : [])),
  );
  let last: Taken | undefined;
  let fault: HildaError | undefined;
  for (let attempt = 0; attempt < spec.attempts && last?.measurement.verdict !== 'valid'; attempt++) {
    try {
      // Boards that passed the equivalence test stand in for each other.
      last = await pool.withAny(
        await pooledWith(deviceId, store),
        { holder: `study:${trial.studyId}`, signal },
        async (device, lease) => {
          const taken = await device.measure(network, protocol, {
            signal,
            ...(Number.isFinite(ramBytes) && { ramBytes }),
          });
          const measurement = await store.addMeasurement(taken, { deviceId: lease.deviceId, lease, trial });
          return { measurement, classifies: device.classify !== undefined };
        },
      );
    } catch (thrown) {
      fault = asHildaError(thrown);
      if (!deviceFaults.has(fault.code)) throw fault;
    }
  }
  if (!last) throw fault ?? new HildaError('MEASUREMENT_INVALID', `no measurement on ${deviceId}`);
  return last;
}

function brokenLimit(
  constraints: readonly Constraint[],
  values: Readonly<Record<string, number>>,
): string | undefined {
  const broken = constraints.find(({ metric, max }) => (values[metric] ?? Number.NEGATIVE_INFINITY) > max);
  return broken && `${broken.metric} ${values[broken.metric]} > ${broken.max}`;
}

/** Weights alone over a memory limit settle the matter before anything runs. `weightBytes`: as float32. */
async function weightLimit({ spec, store }: TrialContext, weightBytes: number): Promise<string | undefined> {
  for (const { metric, max } of spec.constraints) {
    if (!metric.startsWith('peakBytes')) continue;
    const { target } = await store.device(spec.devices[deviceOf(metric, spec) ?? 0] as DeviceId);
    const bytes = (weightBytes / 4) * bytesPerElement[target.dtype];
    if (bytes > max) return `weights alone take ${bytes} bytes: ${metric} > ${max}`;
  }
  return undefined;
}

/** The whole predicted interval lies beyond a limit. Decided by the id, so that a resumed study decides alike. */
function predictedBreak(trial: TrialRecord, constraints: readonly Constraint[]): string | undefined {
  const broken = constraints.find(
    ({ metric, max }) => (trial.predicted[metric]?.low ?? Number.NEGATIVE_INFINITY) > max,
  );
  if (!broken) return undefined;
  const audited =
    Number.parseInt(sha256Hex(`audit ${trial.architectureId}`).slice(0, 8), 16) / 0x100000000 < auditShare;
  const interval = trial.predicted[broken.metric];
  return audited
    ? undefined
    : `predicted ${broken.metric} ${interval?.low} to ${interval?.high} > ${broken.max}: not measured`;
}
