import type { StudyId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import type { Target } from '../core/target.js';
import type { LineState } from '../devices/connection.js';
import type { Presence } from '../fleet/lookout.js';
import { betweenSessions, type Repeatability } from '../measure/repeatability.js';
import type { Graph } from '../network/graph.js';
import type {
  DeviceRecord,
  Lease,
  MeasurementRecord,
  Store,
  StoredEvent,
  StudyRecord,
  TrialRecord,
} from '../store/contract.js';
import type { RunningRecord } from '../store/rollout-contract.js';
import { toldConstraints } from '../study/outside.js';
import type { StudySpec } from '../study/spec.js';
import type { StudySummary } from '../study/study-answers.js';
import type { DeviceView } from './device-schemas.js';
import type { MeasurementView, NetworkView } from './measurement-schemas.js';
import { viewRunning } from './rollout-schemas.js';
import type { EventView, StudySummaryView, StudyView, TrialView } from './schemas.js';

/** What each record shows to the outside. */

export function viewDevice(
  record: DeviceRecord,
  {
    lease: held,
    nowMs,
    presence,
    repeatability,
    line,
    running,
  }: {
    /** Of this device, where there is one: it may have expired. */
    readonly lease: Lease | undefined;
    readonly nowMs: number;
    readonly presence: Presence;
    /** Null: no repeat yet. Left out: not asked. */
    readonly repeatability?: Repeatability | null;
    readonly line?: LineState | undefined;
    readonly running: RunningRecord | undefined;
  },
): DeviceView {
  const lease = held && held.expiresMs > nowMs ? held : undefined;
  return {
    ...record,
    tags: [...record.tags],
    ...presence,
    lease: lease ? { holder: lease.holder, expiresMs: lease.expiresMs } : null,
    running: viewRunning(running),
    ...(line && { line: { ...line } }),
    ...(repeatability !== undefined && { repeatability: viewRepeatability(repeatability, record.target) }),
  };
}

function viewRepeatability(known: Repeatability | null, target: Target): DeviceView['repeatability'] {
  const { variance, repeats } = betweenSessions(known, target);
  const { sinceMs = null, updatedMs = null } = known ?? {};
  return { between: Math.sqrt(variance), repeats, sinceMs, updatedMs };
}

/** Without rounds: they are many, and have their own address. */
export function viewMeasurement({ rounds: _, ...rest }: MeasurementRecord): MeasurementView {
  return {
    ...rest,
    manifest: { ...rest.manifest } as MeasurementView['manifest'],
    latency: rest.latency && { ...rest.latency, normalisedCiUs: [...rest.latency.normalisedCiUs] },
    counts: rest.counts && { ...rest.counts, operators: [...rest.counts.operators] },
  };
}

/** Without the sampler's and generator's states, which mean nothing outside the daemon. */
export function viewStudy({ id, name, spec, state, reason, createdMs, updatedMs }: StudyRecord): StudyView {
  return { id, name, spec: spec as StudyView['spec'], state, reason, createdMs, updatedMs };
}

/** Trials of one study, with how they stand to its limits and what was told on the way to their results. */
export async function viewTrials(
  trials: readonly TrialRecord[],
  id: StudyId,
  store: Pick<Store, 'study' | 'steps'>,
): Promise<TrialView[]> {
  if (trials.length === 0) return [];
  const { constraints = [] } = (await store.study(id)).spec as Partial<Pick<StudySpec, 'constraints'>>;
  const steps = await store.steps(
    id,
    trials.map(({ number }) => number),
  );
  return trials.map((trial) => ({
    ...trial,
    architecture: trial.architecture as TrialView['architecture'],
    evidence: trial.evidence as TrialView['evidence'],
    result: trial.result as TrialView['result'],
    constraints: [
      ...constraints.map(({ metric, max }) => {
        const value = Object.hasOwn(trial.values, metric) ? trial.values[metric] : undefined;
        return value === undefined ? null : value - max;
      }),
      ...toldConstraints(trial.result),
    ],
    intermediateValues: [...(steps.get(trial.number) ?? [])],
  }));
}

export function viewSummary({ record, devices, ...counts }: StudySummary): StudySummaryView {
  return { record: viewStudy(record), ...counts, devices: [...devices] };
}

export function viewNetwork(sha256: string, bytes: number, graph: Graph): NetworkView {
  const inputs = graph.inputs.map(({ name, dtype, dims }) => ({ name, dtype, dims: [...dims] }));
  return { sha256, bytes, name: graph.name, opset: graph.opset, nodes: graph.nodes.length, inputs };
}

export function viewEvent({ topic, seq, atMs, data }: StoredEvent): EventView & { readonly data: Json } {
  return { topic, seq, t: atMs, data: data as EventView['data'] & Json };
}
