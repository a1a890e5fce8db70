import type { DeviceId } from '../core/ids.js';
import type { TrialRecord } from '../store/contract.js';
import { deviceMetric, hasCosts, type StudySpec } from './spec.js';

/** How much of a study one of its devices has measured. */
export interface DeviceCoverage {
  readonly deviceId: DeviceId;
  /** Trials that have its costs, infeasible ones included. */
  readonly measured: number;
  /** Complete trials that lack something it has to say: it was away, or gave no valid answer since. */
  readonly missing: number;
}

/**
 * By index, the devices that a complete trial lacks a value of: their costs, or accuracy as they run the network where that
 * is known of other trials or asked for. Answers for each of `trials`.
 */
export function lackedDevices(
  trials: readonly TrialRecord[],
  spec: StudySpec,
): (trial: TrialRecord) => readonly number[] {
  const complete = trials.filter(({ state }) => state === 'complete');
  const asked = new Set([...spec.objectives, ...spec.constraints].map(({ metric }) => metric));
  const wanted = spec.devices.map((_, index) => {
    const own = deviceMetric('accuracy', spec, index);
    return asked.has(own) || complete.some(({ values }) => values[own] !== undefined) ? own : undefined;
  });
  return ({ state, values }) =>
    state !== 'complete'
      ? []
      : spec.devices.flatMap((_, index) => {
          const accuracy = wanted[index];
          const isKnown = accuracy === undefined || values[accuracy] !== undefined;
          return hasCosts(values, spec, index) && isKnown ? [] : [index];
        });
}

/** What devices of a study missed, for people; null where they missed nothing. */
export function lacking(coverage: readonly DeviceCoverage[]): string | null {
  const short = coverage.filter(({ missing }) => missing > 0);
  if (short.length === 0) return null;
  const each = short.map(({ deviceId, missing }) => `${missing} trials lack ${deviceId}`);
  return `${each.join(', ')}: resume it once what is missing is there`;
}
