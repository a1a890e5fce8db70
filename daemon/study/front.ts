import type { ArchitectureId, DeviceId, MeasurementId } from '../core/ids.js';
import type { Provenance } from '../core/measurement.js';
import { hypervolume } from '../search/pareto/hypervolume.js';
import type { Objective } from '../search/samplers/contract.js';
import type { Space } from '../search/spaces/contract.js';
import type { Store, TrialRecord } from '../store/contract.js';
import { deviceMetric, deviceOf, floatAccuracy, isWhole, type StudySpec } from './spec.js';

/** One member of a study's Pareto front. Every value in it was measured, evaluated or counted; none is predicted. */
export interface FrontRow {
  readonly trialNumber: number;
  readonly architectureId: ArchitectureId;
  readonly values: Readonly<Record<string, number>>;
  /** 95 % interval of the reference-normalised median latency, by device. */
  readonly latencyCiUs: Readonly<Record<DeviceId, readonly [low: number, high: number]>>;
  readonly macs: number;
  readonly parameters: number;
  readonly provenance: Provenance;
  readonly measurementIds: readonly MeasurementId[];
}

/** The front of a study as one of its devices sees it: no other device's cost is among its objectives. */
export interface DeviceFront {
  readonly deviceId: DeviceId;
  readonly objectives: readonly Objective[];
  readonly front: readonly FrontRow[];
}

/** The front of a study, and one for each of its devices where it has several. */
export interface Fronts {
  readonly front: readonly FrontRow[];
  readonly devices: readonly DeviceFront[];
}

/** A trial's objectives, all to be minimised; undefined unless it is complete and has them all. */
function costs(trial: TrialRecord, objectives: readonly Objective[]): number[] | undefined {
  if (trial.state !== 'complete') return undefined;
  const values = objectives.map(
    ({ metric, goal }) => (goal === 'min' ? 1 : -1) * (trial.values[metric] ?? Number.NaN),
  );
  return values.some(Number.isNaN) ? undefined : values;
}

const dominates = (a: readonly number[], b: readonly number[]): boolean =>
  a.every((value, i) => value <= (b[i] as number)) && a.some((value, i) => value < (b[i] as number));

/** The front of all devices together: a trial that one of them was missing from has no place in it. */
export const jointFront = (trials: readonly TrialRecord[], spec: StudySpec): TrialRecord[] =>
  frontTrials(wholeTrials(trials, spec), spec.objectives);

const wholeTrials = (trials: readonly TrialRecord[], spec: StudySpec): TrialRecord[] =>
  trials.filter(({ values }) => isWhole(values, spec));

/** The complete trials that no other complete trial dominates, best first in the first objective. */
function frontTrials(trials: readonly TrialRecord[], objectives: readonly Objective[]): TrialRecord[] {
  const scored = trials.flatMap((trial) => {
    const cost = costs(trial, objectives);
    return cost ? [{ trial, cost }] : [];
  });
  return scored
    .filter(({ cost }) => !scored.some((other) => dominates(other.cost, cost)))
    .sort((a, b) => (a.cost[0] as number) - (b.cost[0] as number))
    .map(({ trial }) => trial);
}

export async function frontRows(
  trials: readonly TrialRecord[],
  spec: StudySpec,
  space: Space,
  store: Store,
): Promise<FrontRow[]> {
  return Promise.all(
    jointFront(trials, spec).map((trial) => frontRow(trial, trial.measurements, space, store)),
  );
}

/**
 * One front a device: over the network's own objectives, accuracy as the device runs the network, and what was measured
 * there. None for a study of one device, whose front is the study's.
 */
export async function deviceFronts(
  trials: readonly TrialRecord[],
  spec: StudySpec,
  space: Space,
  store: Store,
): Promise<DeviceFront[]> {
  if (spec.devices.length < 2) return [];
  const complete = trials.filter(({ state }) => state === 'complete');
  return Promise.all(
    spec.devices.map(async (id, index) => {
      const own = accuracyMetric(complete, spec, index);
      // Where the first device runs an int8 network, `accuracy` is that network's.
      const isSeen = (metric: string): boolean =>
        [index, undefined].includes(deviceOf(metric, spec)) &&
        !(metric === 'accuracy' && own === floatAccuracy);
      const objectives = spec.objectives
        .map((objective) => (objective.metric === 'accuracy' ? { ...objective, metric: own } : objective))
        .filter(({ metric }) => isSeen(metric));
      const rows = frontTrials(complete, objectives).map(async (trial) => {
        const row = await frontRow(trial, measuredOn(trial, id as DeviceId), space, store);
        return { ...row, values: Object.fromEntries(Object.entries(row.values).filter(([m]) => isSeen(m))) };
      });
      return { deviceId: id as DeviceId, objectives, front: await Promise.all(rows) };
    }),
  );
}

/** By what name the trials know accuracy as a device runs the network: int8 where it does, float else. */
function accuracyMetric(trials: readonly TrialRecord[], spec: StudySpec, index: number): string {
  const known = (metric: string): boolean => trials.some(({ values }) => values[metric] !== undefined);
  const own = deviceMetric('accuracy', spec, index);
  return known(own) ? own : known(floatAccuracy) ? floatAccuracy : 'accuracy';
}

/** A device's own measurement, or that of the equivalent one that stood in for it. */
function measuredOn({ measurements }: TrialRecord, id: DeviceId): TrialRecord['measurements'] {
  const own = measurements[id];
  return own ? { [id]: own } : measurements;
}

async function frontRow(
  trial: TrialRecord,
  measurements: TrialRecord['measurements'],
  space: Space,
  store: Store,
): Promise<FrontRow> {
  const taken = await Promise.all(Object.values(measurements).map((id) => store.measurement(id)));
  const { macs, parameters } = space.stats(trial.architecture);
  return {
    trialNumber: trial.number,
    architectureId: trial.architectureId,
    values: trial.values,
    latencyCiUs: Object.fromEntries(
      taken.flatMap((m) => (m.latency ? [[m.deviceId, m.latency.normalisedCiUs]] : [])),
    ) as FrontRow['latencyCiUs'],
    macs,
    parameters,
    provenance: taken.some((m) => m.provenance === 'emulated') ? 'emulated' : 'measured',
    measurementIds: taken.map((m) => m.id),
  };
}

/**
 * Share, 0 to 1, of the box between the reference and the ideal point that the front dominates. The reference is the
 * worst value of each objective among the whole trials of the first batch, so it moves only where one of them is caught up
 * later, and the share only grows before that; the ideal is 0 for what is minimised and 1 for what is maximised (accuracies are shares of 1).
 */
export function hypervolumeShare(all: readonly TrialRecord[], spec: StudySpec): number {
  const trials = wholeTrials(all, spec);
  const points = trials.flatMap((trial) => {
    const cost = costs(trial, spec.objectives);
    return cost ? [cost] : [];
  });
  if (points.length === 0 || spec.objectives.length < 2) return 0;
  const first = trials
    .filter((t) => t.number < spec.batch)
    .flatMap((t) => [costs(t, spec.objectives)].filter((c) => c !== undefined));
  const basis = first.length > 0 ? first : points.slice(0, 1);
  const reference = spec.objectives.map((_, i) => Math.max(...basis.map((cost) => cost[i] as number)));
  const ideal = spec.objectives.map(({ goal }) => (goal === 'min' ? 0 : -1));
  const box = reference.reduce((product, value, i) => product * (value - (ideal[i] as number)), 1);
  return box > 0 ? hypervolume(points, reference) / box : 0;
}
