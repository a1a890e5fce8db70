import { asHildaError } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import { type CostMetric, costsOf } from '../core/measurement.js';
import { faultOf } from '../fleet/suspicion.js';
import type { FinishedTrial, TrialRecord } from '../store/contract.js';
import { lackedDevices } from './coverage.js';
import { addDeployedAccuracy } from './deployed-accuracy.js';
import type { Findings } from './findings.js';
import { listening } from './heard.js';
import { deviceMetric, floatAccuracy } from './spec.js';
import type { TrialContext } from './trial-context.js';
import { brokenLimit, unlessMissing, withoutDevices } from './trial-runner.js';
import { refreshed, workThrough } from './work-through.js';

/** Behind all searches: nobody waits for these measurements to propose the next architectures. */
const priority = -1;

export interface CatchUpOptions {
  readonly trials: readonly TrialRecord[];
  /** Whether the study's time is up: no other trial is begun then. */
  readonly isOver: () => boolean;
  readonly signal: AbortSignal;
}

/**
 * Measures complete trials on the devices that were away when they ran and are there now, each once. Nothing is told:
 * samplers and predictors keep what they were told at the time. Trials whose device leaves again are held as in the search.
 * What is not available stays missing, and another call tries it again.
 */
export async function catchUp(
  context: TrialContext,
  { trials, isOver, signal }: CatchUpOptions,
): Promise<void> {
  const { spec, store, pool, absences } = context;
  const lacked = lackedDevices(trials, spec);
  if (!trials.some((trial) => lacked(trial).length > 0)) return;
  // Devices that nobody used since they left may be back unheard of.
  await pool.discover({ signal });
  const here = new Set<number>();
  for (const [index, id] of spec.devices.entries())
    if (await absences.isThere(id as DeviceId)) here.add(index);
  const due = (trial: TrialRecord): number[] => lacked(trial).filter((index) => here.has(index));

  let left = trials.filter((trial) => due(trial).length > 0);
  while (left.length > 0) {
    left = await workThrough(left, {
      ...context,
      signal,
      work: async (trial, both) => {
        if (isOver()) return false;
        const { studyId, number } = trial;
        const { heard, ...ears } = listening(context, { late: true });
        const late = await measureLate(trial, due(trial), { ...context, ...ears, priority }, both);
        const lacks = lacked({ ...trial, ...late }).map((index) => spec.devices[index] as string);
        const reason = late.reason ?? (lacks.length > 0 ? withoutDevices(lacks) : null);
        if (late.isNews || reason !== trial.reason) {
          const { state, values, evidence, answers } = late;
          const told = { state, values, evidence, answers, reason };
          await store.reviseTrial({ studyId, number, ...told, heard: heard as unknown as Json[] });
        }
        return late.isHeld;
      },
    });
    if (left.length === 0 || isOver() || !(await anyIsBack(context, signal))) return;
    left = await refreshed(left, store);
  }
}

/** Waits for devices that disconnect meanwhile; false where they are given up. */
async function anyIsBack({ absences, onStep }: TrialContext, signal: AbortSignal): Promise<boolean> {
  onStep?.(`wait for ${absences.missing.join(', ')}`);
  try {
    await absences.wait({ signal });
    return true;
  } catch (thrown) {
    signal.throwIfAborted();
    if (asHildaError(thrown).code === 'DEVICE_GONE') return false;
    throw thrown;
  }
}

interface Late extends Findings, Pick<FinishedTrial, 'reason'> {
  readonly state: 'complete' | 'infeasible';
  /** Whether a device answered, or refused the network. */
  readonly isNews: boolean;
  readonly isHeld: boolean;
}

/**
 * What the trial is with the values of these devices added. It is infeasible where it breaks a limit or does not run on one
 * of them, as it would have been at the time; where one gives no valid answer, what the others measured stands.
 */
async function measureLate(
  trial: TrialRecord,
  devices: readonly number[],
  context: TrialContext,
  signal: AbortSignal,
): Promise<Late> {
  const { spec, space, absences, onStep } = context;
  const values: Record<string, number> = { ...trial.values };
  // Answers that are not given here stay as they are stored.
  const findings: Findings = { values, evidence: { ...trial.evidence }, answers: {} };
  const missing = new Set<DeviceId>();
  const silent: string[] = [];
  let isNews = false;
  const infeasible = (reason: string): Late => ({
    state: 'infeasible',
    ...findings,
    reason,
    isNews: true,
    isHeld: false,
  });
  const network = space.network(trial.architecture);
  for (const index of devices) {
    const deviceId = spec.devices[index] as DeviceId;
    onStep?.(`catch up with trial ${trial.number} on ${deviceId}`);
    try {
      const taken = await unlessMissing(trial, deviceId, network, context, signal);
      if (!taken) {
        missing.add(deviceId);
        continue;
      }
      const { measurement, classifies } = taken;
      if (measurement.verdict !== 'valid') {
        silent.push(`not measured on ${deviceId}: ${measurement.verdict}: ${measurement.reason}`);
        continue;
      }
      isNews = true;
      for (const [metric, value] of Object.entries(costsOf(measurement)))
        values[deviceMetric(metric as CostMetric, spec, index)] = value;
      const float = values[floatAccuracy] === undefined ? 'accuracy' : floatAccuracy;
      const asItIs = new Set(classifies === false ? [index] : []);
      const known = { float, devices: [index], asItIs, missing } as const;
      await addDeployedAccuracy(findings, trial, known, context, signal);
      const broken = brokenLimit(spec.constraints, values);
      if (broken) return infeasible(broken);
    } catch (thrown) {
      const error = asHildaError(thrown);
      const { code, message } = error;
      const fault = faultOf(error);
      if (!fault) throw thrown;
      if (fault === 'network') return infeasible(`${code}: ${message}`);
      silent.push(`not measured on ${deviceId}: ${code}: ${message}`);
    }
  }
  return {
    state: 'complete',
    ...findings,
    reason: silent.join('; ') || null,
    isNews,
    isHeld: missing.size > 0 && absences.hold([...missing]),
  };
}
