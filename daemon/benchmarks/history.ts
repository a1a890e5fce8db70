import type { Json } from '../core/json.js';
import type { CostMetric, Measurement } from '../core/measurement.js';
import type { Change, Suspicion, WatchOptions } from '../predict/changes/contract.js';
import { ChangeWatch } from '../predict/changes/watch.js';
import { historyPoint } from './history-point.js';
import { type ManifestDifference, manifestDifference } from './manifest-difference.js';

/** Measurements on either side of a change whose manifests are compared. */
const compared = 5;

/** A change of a series, with the measurements on its two sides and what differs between their manifests. */
export interface HistoryChange<T> extends Change {
  /** The last measurement of the old level, and the first of the new one. */
  readonly lastBefore: T;
  readonly firstSince: T;
  readonly differences: readonly ManifestDifference[];
}

export interface History<T> {
  /** Valid measurements with the metric, oldest first: positions of changes count these. */
  readonly points: readonly T[];
  readonly changes: readonly HistoryChange<T>[];
  readonly suspicion: Suspicion | null;
}

/**
 * Whether two measurements of a network belong to one series: they agree in what is chosen. Versions of runtime and
 * driver, clock and conditions may differ: their changes are what a history is for.
 */
export const inOneSeries = (a: Omit<Measurement, 'rounds'>, b: Omit<Measurement, 'rounds'>): boolean =>
  a.structureHash === b.structureHash &&
  a.provenance === b.provenance &&
  chosen.every((field) => a.target[field] === b.target[field]);

const chosen = ['model', 'runtime', 'provider', 'threads', 'dtype', 'batch', 'network', 'tier'] as const;

/** The series of one network, device and metric, oldest first, with its changes. */
export function historyOf<T extends Omit<Measurement, 'rounds'>>(
  measurements: readonly T[],
  metric: CostMetric,
  options?: WatchOptions,
): History<T> {
  const watch = new ChangeWatch(options);
  const points: T[] = [];
  for (const measurement of measurements) {
    const point = historyPoint(measurement, metric);
    if (!point) continue;
    points.push(measurement);
    watch.push(point);
  }
  return {
    points,
    changes: watch.changes.map((change) => ({
      ...change,
      lastBefore: points[change.since - 1] as T,
      firstSince: points[change.since] as T,
      differences: manifestDifference(
        points.slice(Math.max(0, change.since - compared), change.since).map(conditionsOf),
        points
          .slice(change.since, Math.min(change.since + compared, change.returnedAt ?? points.length))
          .map(conditionsOf),
      ),
    })),
    suspicion: watch.suspicion ?? null,
  };
}

/** The manifest, and what stands beside it in a measurement: protocol, target, weights, build of a board's firmware. */
const conditionsOf = ({
  manifest,
  protocol,
  target,
  weightsHash,
  counts,
}: Omit<Measurement, 'rounds'>): { readonly [key: string]: Json } => ({
  ...manifest,
  protocol,
  target: { ...target } as unknown as Json,
  weightsHash,
  firmwareBuild: counts?.firmwareBuild ?? manifest.firmwareBuild ?? null,
});
