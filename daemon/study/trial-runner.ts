import { asHildaError, HildaError } from '../core/errors.js';
import { sha256Hex } from '../core/hash.js';
import type { DeviceId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import { type CostMetric, costsOf } from '../core/measurement.js';
import type { Evaluator, Quality } from '../evaluate/contract.js';
import { faultOf } from '../fleet/suspicion.js';
import { bytesPerElement, type Graph } from '../network/graph.js';
import { checkNetworkLimits } from '../network/limits.js';
import type { Constraint } from '../search/samplers/contract.js';
import type { FinishedTrial, TrialRecord } from '../store/contract.js';
import { addDeployedAccuracy } from './deployed-accuracy.js';
import { addQuality, type Findings } from './findings.js';
import { listening } from './heard.js';
import { measureOrRecall, type Taken } from './measure-trial.js';
import { deviceMetric, deviceOf } from './spec.js';
import type { TrialContext } from './trial-context.js';

/** Every tenth candidate is measured although predicted to break a limit, so that a wrong predictor is found out. */
const auditShare = 0.1;

type Outcome = Pick<FinishedTrial, 'state' | 'values' | 'reason' | 'evidence' | 'answers'>;

/**
 * One architecture's way through the loop: free checks, prediction, measurements, accuracy. What goes wrong with
 * the network or its device becomes the trial's outcome; only an abort and faults of the store are thrown. Undefined: the
 * trial is held for a device that is not there, and keeps what was measured on the others.
 */
export async function runTrial(
  trial: TrialRecord,
  context: TrialContext,
  options: { readonly signal: AbortSignal },
): Promise<FinishedTrial | undefined> {
  const { studyId, number } = trial;
  const { heard, ...ears } = listening(context, { late: false });
  const told = { studyId, number, heard: heard as unknown as Json[] };
  try {
    const outcome = await decide(trial, { ...context, ...ears }, options);
    return outcome && { ...told, ...outcome };
  } catch (thrown) {
    const error = asHildaError(thrown);
    const fault = faultOf(error);
    if (!fault) throw error;
    const state = fault === 'network' ? 'infeasible' : 'failed';
    return { ...told, state, values: {}, reason: `${error.code}: ${error.message}` };
  }
}

async function decide(
  trial: TrialRecord,
  context: TrialContext,
  { signal }: { readonly signal: AbortSignal },
): Promise<Outcome | undefined> {
  const { spec, space, evaluator, absences } = context;
  const stats = space.stats(trial.architecture);
  const values: Record<string, number> = { macs: stats.macs, parameters: stats.parameters };
  const findings: Findings = { values, evidence: {}, answers: {} };
  const infeasible = (reason: string): Outcome => ({ state: 'infeasible', ...findings, reason });

  const broken = brokenLimit(spec.constraints, values) ?? (await weightLimit(context, stats.weightBytes));
  if (broken) return infeasible(broken);
  const predicted = predictedBreak(trial, spec.constraints);
  if (predicted) return infeasible(predicted);
  const network = space.network(trial.architecture);
  checkNetworkLimits(network);

  /** Devices that run the float network itself, as far as is known. */
  const asItIs = new Set<number>();
  const missing = new Set<DeviceId>();
  for (const [index, name] of spec.devices.entries()) {
    const deviceId = name as DeviceId;
    context.onStep?.(`measure on ${name}`);
    const taken = await unlessMissing(trial, deviceId, network, context, signal);
    if (!taken) {
      missing.add(deviceId);
      continue;
    }
    const { measurement, classifies } = taken;
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
  const isHeld = (): boolean => missing.size > 0 && absences.hold([...missing]);
  if (isHeld()) return undefined;

  context.onStep?.('evaluate');
  const quality = await qualityOrFault(evaluator, trial, signal);
  if (quality instanceof HildaError)
    return { state: 'failed', values, reason: `${quality.code}: ${quality.message}` };
  addQuality(findings, quality);
  if (quality.broken) return infeasible(quality.broken);
  const known = { float: 'accuracy', devices: [...spec.devices.keys()], asItIs, missing } as const;
  await addDeployedAccuracy(findings, trial, known, context, signal);
  if (isHeld()) return undefined;
  const limit = brokenLimit(spec.constraints, values);
  if (limit) return infeasible(limit);
  const asked = [...spec.objectives, ...spec.constraints];
  const unknown = asked.find(({ metric }) => values[metric] === undefined);
  if (unknown && missing.size === 0)
    throw new HildaError('SPEC_INVALID', `nothing yields the metric ${unknown.metric}`, {
      hint: `Known: ${Object.keys(values).join(', ')}.`,
    });
  const reason = missing.size > 0 ? withoutDevices([...missing]) : null;
  return { state: 'complete', ...findings, reason };
}

/** What the evaluator says, or that it gave no value: what was measured stands then, and the network is not at fault. */
async function qualityOrFault(
  evaluator: Evaluator,
  { architecture }: TrialRecord,
  signal: AbortSignal,
): Promise<Quality | HildaError> {
  try {
    return await evaluator.evaluate(architecture, { signal });
  } catch (thrown) {
    signal.throwIfAborted();
    const error = asHildaError(thrown);
    const { code, message } = error;
    // A runtime of the evaluator's own proves nothing of the network.
    if (faultOf(error) === undefined) throw error;
    if (code === 'EVALUATION_FAILED' || code === 'MEASUREMENT_INVALID') return error;
    const why = code === 'ARCHITECTURE_INVALID' ? message : `${code}: ${message}`;
    return new HildaError('EVALUATION_FAILED', why, { cause: error });
  }
}

/** Why a complete trial lacks values. */
export const withoutDevices = (missing: readonly string[]): string =>
  `not measured on ${missing.join(', ')}: not there`;

/** Undefined where the device is not there. */
export async function unlessMissing(
  trial: TrialRecord,
  deviceId: DeviceId,
  network: Graph,
  context: TrialContext,
  signal: AbortSignal,
): Promise<Taken | undefined> {
  const { absences } = context;
  if (absences.rests(deviceId)) return undefined;
  try {
    const taken = await measureOrRecall(trial, deviceId, network, context, signal);
    if (taken.classifies !== undefined) absences.returned(deviceId);
    return taken;
  } catch (thrown) {
    if (absences.explains(deviceId, thrown)) return undefined;
    throw thrown;
  }
}

/** Says which limit the values break; undefined where they break none. */
export function brokenLimit(
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
