import type { Json } from '../../core/json.js';
import { type CostMetric, isExact, type Measurement } from '../../core/measurement.js';
import { chosenFields } from '../../core/target.js';
import type { Change, ChangeEvent, Suspicion, WatchOptions } from '../../predict/changes/contract.js';
import { ExactWatch } from '../../predict/changes/exact.js';
import { ChangeWatch } from '../../predict/changes/watch.js';
import { historyPoint } from './history-point.js';
import { type ManifestDifference, manifestDifference } from './manifest-difference.js';

/** Measurements on either side of a change whose manifests are compared. */
const compared = 5;
/** A history is of the newest measurements. */
const mostPoints = 400;

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

type Taken = Omit<Measurement, 'rounds'>;

/** The same for all measurements of one network that belong to one series. */
export const seriesKey = ({ structureHash, provenance, target }: Taken): string =>
  JSON.stringify([structureHash, provenance, ...chosenFields.map((field) => target[field] ?? null)]);

/** Measurements of one network, device and metric as they come, with the changes of their level. */
export class Series<T extends Taken> {
  readonly metric: CostMetric;
  readonly #kept: number;
  readonly #options: WatchOptions | undefined;
  #watch: ChangeWatch | ExactWatch | undefined;
  /** The newest ones; `#first` is the position of the first of them. */
  readonly #points: T[] = [];
  #first = 0;

  /** `kept`: the newest measurements that are held; a change is found within some 35 points. */
  constructor(metric: CostMetric, kept: number, options?: WatchOptions) {
    this.metric = metric;
    this.#kept = kept;
    this.#options = options;
  }

  get points(): readonly T[] {
    return this.#points;
  }

  get suspicion(): Suspicion | null {
    return this.#watch?.suspicion ?? null;
  }

  /** Adds the next measurement, where it is valid and has the metric. Answers with what its level did. */
  push(measurement: T): ChangeEvent | undefined {
    const point = historyPoint(measurement, this.metric);
    if (!point) return undefined;
    this.#points.push(measurement);
    this.#watch ??= isExact(this.metric, measurement.provenance)
      ? new ExactWatch()
      : new ChangeWatch(this.#options);
    const event = this.#watch.push(point);
    if (this.#points.length > this.#kept) {
      this.#points.shift();
      this.#first++;
    }
    return event;
  }

  /** The measurement at a position of a change; the oldest that is kept where it is older. */
  at(position: number): T {
    return this.#points[Math.max(0, position - this.#first)] as T;
  }

  /** What stands on the two sides of a change. */
  describe(change: Change): HistoryChange<T> {
    const since = Math.max(0, change.since - this.#first);
    const until = Math.min(since + compared, (change.returnedAt ?? Number.POSITIVE_INFINITY) - this.#first);
    return {
      ...change,
      lastBefore: this.at(change.since - 1),
      firstSince: this.at(change.since),
      differences: manifestDifference(
        this.#points.slice(Math.max(0, since - compared), since).map(conditionsOf),
        this.#points.slice(since, until).map(conditionsOf),
      ),
    };
  }

  get changes(): readonly Change[] {
    return this.#watch?.changes ?? [];
  }
}

/** The series of one network, device and metric, oldest first, with its changes. At most 400 measurements. */
export function historyOf<T extends Taken>(
  measurements: readonly T[],
  metric: CostMetric,
  options?: WatchOptions,
): History<T> {
  const series = new Series<T>(metric, mostPoints, options);
  for (const measurement of measurements.slice(-mostPoints)) series.push(measurement);
  return {
    points: series.points,
    changes: series.changes.map((change) => series.describe(change)),
    suspicion: series.suspicion,
  };
}

/** The manifest, and what stands beside it in a measurement: protocol, target, weights, build of a board's firmware. */
const conditionsOf = ({
  manifest,
  protocol,
  target,
  weightsHash,
  counts,
}: Taken): { readonly [key: string]: Json } => ({
  ...manifest,
  protocol,
  target: { ...target } as unknown as Json,
  weightsHash,
  firmwareBuild: counts?.firmwareBuild ?? manifest.firmwareBuild ?? null,
});
