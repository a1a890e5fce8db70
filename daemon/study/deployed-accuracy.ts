import { asHildaError } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import { classesOf } from '../devices/agent/examples.js';
import type { Examples } from '../devices/contract.js';
import type { Evaluator, Quality } from '../evaluate/contract.js';
import { bareEvidence } from '../evaluate/evidence.js';
import { structureHash } from '../network/canonical-text.js';
import type { Graph } from '../network/graph.js';
import type { TrialRecord } from '../store/contract.js';
import { copyValue, dropValue, type Findings } from './findings.js';
import { deviceMetric, floatAccuracy } from './spec.js';
import type { TrialContext } from './trial-context.js';

interface KnownOfDevices {
  /** By which metric the float network's accuracy is known; the evaluator may have none. */
  readonly float: 'accuracy' | typeof floatAccuracy;
  /** By index, whom to ask. */
  readonly devices: readonly number[];
  /** By index: they run the float network itself. */
  readonly asItIs: ReadonlySet<number>;
  /** Not there; those that leave now are added. */
  readonly missing: Set<DeviceId>;
}

/**
 * Accuracy as each device runs the network, where that is not the float network: on the first device it takes the bare
 * name, and the float network's becomes `floatAccuracy`. What an int8 device that is not there would answer stays unknown.
 */
export async function addDeployedAccuracy(
  findings: Findings,
  trial: TrialRecord,
  { float, devices, asItIs, missing }: KnownOfDevices,
  { spec, jobs, store, evaluator, absences, priority = 0, onStep }: TrialContext,
  signal: AbortSignal,
): Promise<void> {
  const { values } = findings;
  if (!evaluator.deployed || values[float] === undefined) return;
  for (const index of devices) {
    const name = spec.devices[index] as string;
    const deviceId = name as DeviceId;
    const metric = deviceMetric('accuracy', spec, index);
    let own: Quality | undefined;
    if (!asItIs.has(index) && !missing.has(deviceId)) {
      onStep?.(`evaluate as ${name} runs it`);
      try {
        own = await asDeviceRuns(trial, deviceId, { jobs, evaluator, priority }, signal);
      } catch (thrown) {
        if (!absences.explains(deviceId, thrown)) throw thrown;
        missing.add(deviceId);
      }
    }
    if (missing.has(deviceId) && (await store.device(deviceId)).target.dtype === 'int8') {
      if (index > 0 || !(await showsExamples(trial, evaluator, signal))) continue;
      copyValue(findings, float, floatAccuracy);
      dropValue(findings, metric);
      continue;
    }
    const { values: { accuracy } = {}, evidence, answers, source = '' } = own ?? {};
    if (accuracy === undefined) {
      const isAsked = [...spec.objectives, ...spec.constraints].some((asked) => asked.metric === metric);
      if (index > 0 && isAsked) copyValue(findings, float, metric);
      continue;
    }
    if (index === 0) copyValue(findings, float, floatAccuracy);
    values[metric] = accuracy;
    findings.evidence[metric] = evidence?.accuracy ?? bareEvidence(source);
    if (answers?.accuracy) findings.answers[metric] = answers.accuracy;
  }
}

/** What the evaluator says of the device's own network; undefined where the device runs the float network itself. */
async function asDeviceRuns(
  { studyId, number, state, architecture }: TrialRecord,
  deviceId: DeviceId,
  { jobs, evaluator, priority }: Pick<TrialContext, 'jobs' | 'evaluator' | 'priority'>,
  signal: AbortSignal,
): Promise<Quality | undefined> {
  const classify = async (network: Graph, examples: Examples): Promise<Uint16Array> => {
    const { outputs } = await jobs.run(
      {
        work: { kind: 'classify', batch: examples.calibration.batch },
        network: { structure: structureHash(network) },
        inputs: { built: 'examples of the evaluator' },
        devices: { pool: deviceId },
        owner: { kind: 'study', study: studyId, trial: number, late: state === 'complete' },
        priority: priority ?? 0,
        attached: true,
        given: { network, examples },
      },
      { signal },
    );
    return classesOf(outputs ?? {}, examples.count);
  };
  try {
    return await evaluator.deployed?.(architecture, classify, { signal });
  } catch (thrown) {
    if (asHildaError(thrown).details.ability === 'classify') return undefined;
    throw thrown;
  }
}

/** Whether the evaluator has examples for a device's own network, as it may have been told to show none. */
async function showsExamples(
  { architecture }: TrialRecord,
  evaluator: Evaluator,
  signal: AbortSignal,
): Promise<boolean> {
  let shows = false;
  await evaluator.deployed?.(
    architecture,
    async (_, { count }) => {
      shows = true;
      return new Uint16Array(count);
    },
    { signal },
  );
  return shows;
}
