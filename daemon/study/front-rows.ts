import type { EvidenceOf } from '../core/evidence.js';
import type { ArchitectureId, DeviceId, MeasurementId, StudyId } from '../core/ids.js';
import type { Interval } from '../core/intervals.js';
import type { Provenance } from '../core/measurement.js';
import type { Objective } from '../search/samplers/contract.js';
import type { Space } from '../search/spaces/contract.js';
import type { MeasurementRecord, Store, TrialRecord } from '../store/contract.js';
import { type Beside, beside, besideNeighbours, type Comparable } from './beside.js';
import { measuredIntervals } from './exactness.js';
import type { StudySpec } from './spec.js';
import { isSeenBy, type Standing } from './standing.js';

/** One member of a study's Pareto front. Every value in it was measured, evaluated or counted; none is predicted. */
export interface FrontRow {
  readonly trialNumber: number;
  readonly architectureId: ArchitectureId;
  readonly values: Readonly<Record<string, number>>;
  /** What evaluated values rest on, with their 95 % intervals. */
  readonly evidence: EvidenceOf;
  /** 95 % interval of the reference-normalised median latency, by device. */
  readonly latencyCiUs: Readonly<Record<DeviceId, readonly [low: number, high: number]>>;
  readonly macs: number;
  readonly parameters: number;
  readonly provenance: Provenance;
  readonly measurementIds: readonly MeasurementId[];
  /** How it compares with its neighbours on this front, by the front's objectives: see `besideNeighbours`. */
  readonly beside: readonly Beside[];
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

/** What fronts are made from. */
interface Sources {
  readonly spec: StudySpec;
  readonly space: Space;
  readonly store: Store;
}

/** The trials of a study's fronts, as its standing names them. */
export interface Members {
  readonly joint: readonly TrialRecord[];
  /** One a device, where the study has several. */
  readonly devices: readonly {
    readonly objectives: readonly Objective[];
    /** See `Standing.hidesAccuracy`. */
    readonly hidesAccuracy: boolean;
    readonly trials: readonly TrialRecord[];
  }[];
}

/** Reads the members of the fronts, and nothing else. */
export async function frontMembers(id: StudyId, standing: Standing, store: Store): Promise<Members> {
  const { jointFront, deviceFronts } = standing;
  const wanted = [...new Set([jointFront, ...deviceFronts.map(({ numbers }) => numbers)].flat())];
  const trials = await store.trials(id, { numbers: wanted });
  const found = new Map(trials.map((trial) => [trial.number, trial]));
  const trialsOf = (numbers: readonly number[]): TrialRecord[] =>
    numbers.flatMap((number) => found.get(number) ?? []);
  return {
    joint: trialsOf(jointFront),
    devices: deviceFronts.map(({ objectives, numbers }, index) => ({
      objectives,
      hidesAccuracy: standing.hidesAccuracy(index),
      trials: trialsOf(numbers),
    })),
  };
}

/**
 * The front of all devices together, in which a trial that one of them was missing from has no place; and one a device: over
 * the network's own objectives, accuracy as the device runs the network, and what was measured there. None for a study of
 * one device, whose front is the study's.
 */
export async function frontsOf({ joint, devices }: Members, sources: Sources): Promise<Fronts> {
  const { spec } = sources;
  const front = await rowsOf(
    joint.map((trial) => ({ trial, measurements: trial.measurements })),
    spec.objectives,
    sources,
  );
  const ofDevices = devices.map(
    async ({ objectives, hidesAccuracy, trials }, index): Promise<DeviceFront> => {
      const deviceId = spec.devices[index] as DeviceId;
      const members = trials.map((trial) => ({ trial, measurements: measuredOn(trial, deviceId) }));
      const seen = <T>(by: Readonly<Record<string, T>>): Record<string, T> =>
        Object.fromEntries(
          Object.entries(by).filter(([metric]) => isSeenBy(index, metric, hidesAccuracy, spec)),
        );
      const rows = await rowsOf(members, objectives, sources);
      return {
        deviceId,
        objectives,
        front: rows.map((row) => ({ ...row, values: seen(row.values), evidence: seen(row.evidence) })),
      };
    },
  );
  return { front, devices: await Promise.all(ofDevices) };
}

/** One complete trial beside another of its study, by every metric that both have an interval of. */
export async function compareTrials(
  trials: readonly [TrialRecord, TrialRecord],
  sources: Omit<Sources, 'space'>,
): Promise<Beside[]> {
  const members = trials.map((trial) => ({ trial, measurements: trial.measurements }));
  const [a, b] = (await measuredMembers(members, sources)) as [Measured, Measured];
  return Object.keys(a.values).flatMap((metric) => beside(a, b, metric) ?? []);
}

/** A device's own measurement, or that of the equivalent one that stood in for it. */
function measuredOn({ measurements }: TrialRecord, id: DeviceId): TrialRecord['measurements'] {
  const own = measurements[id];
  return own ? { [id]: own } : measurements;
}

/** A trial with those of its measurements that count here. */
interface Member {
  readonly trial: TrialRecord;
  readonly measurements: TrialRecord['measurements'];
}

interface Measured extends Comparable {
  readonly trial: TrialRecord;
  readonly taken: readonly MeasurementRecord[];
}

async function rowsOf(
  members: readonly Member[],
  objectives: readonly Objective[],
  sources: Sources,
): Promise<FrontRow[]> {
  const measured = await measuredMembers(members, sources);
  const neighbours = besideNeighbours(
    measured,
    objectives.map(({ metric }) => metric),
  );
  return measured.map((one, i) => ({ ...frontRow(one, sources.space), beside: neighbours[i] ?? [] }));
}

async function measuredMembers(
  members: readonly Member[],
  { spec, store }: Omit<Sources, 'space'>,
): Promise<Measured[]> {
  const [first] = members;
  if (!first) return [];
  const { studyId } = first.trial;
  const answers = await store.answers(
    studyId,
    members.map(({ trial }) => trial.number),
  );
  const known = await store.measurementsById(
    members.flatMap(({ measurements }) => Object.values(measurements)),
  );
  return members.map(({ trial, measurements }) => {
    const taken = Object.values(measurements).map((id) => known.get(id) as MeasurementRecord);
    return {
      trial,
      taken,
      trialNumber: trial.number,
      values: trial.values,
      intervals: intervalsOf(trial, taken, spec),
      answers: answers.get(trial.number) ?? {},
    };
  });
}

/** Of evaluated values, and of measured costs. */
function intervalsOf(
  trial: TrialRecord,
  taken: readonly MeasurementRecord[],
  spec: StudySpec,
): Record<string, Interval> {
  const evaluated = Object.entries(trial.evidence).flatMap(([metric, { ci }]) =>
    ci ? [[metric, ci] as const] : [],
  );
  return { ...Object.fromEntries(evaluated), ...measuredIntervals(trial, taken, spec) };
}

function frontRow({ trial, taken }: Measured, space: Space): Omit<FrontRow, 'beside'> {
  const { macs, parameters } = countsOf(trial, space);
  return {
    trialNumber: trial.number,
    architectureId: trial.architectureId,
    values: trial.values,
    evidence: trial.evidence,
    latencyCiUs: Object.fromEntries(
      taken.flatMap((m) => (m.latency ? [[m.deviceId, m.latency.normalisedCiUs]] : [])),
    ) as FrontRow['latencyCiUs'],
    macs,
    parameters,
    provenance: taken.some((m) => m.provenance === 'emulated') ? 'emulated' : 'measured',
    measurementIds: taken.map((m) => m.id),
  };
}

/** What was counted when the trial began; a network is built again only for trials of versions that did not keep it. */
function countsOf(
  { values, architecture }: TrialRecord,
  space: Space,
): { readonly macs: number; readonly parameters: number } {
  const { macs, parameters } = values;
  return macs === undefined || parameters === undefined ? space.stats(architecture) : { macs, parameters };
}
