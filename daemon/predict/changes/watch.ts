import { medianOf } from '../statistics.js';
import { type Baseline, fitBaseline, forecast } from './baseline.js';
import type { Change, ChangeEvent, SeriesPoint, Suspicion, WatchOptions } from './contract.js';
import { noiseFloor, relativeScales, typicalError } from './noise.js';
import { heldPoints } from './persistence.js';
import { judgeByReference } from './reference.js';
import { designRow, seasonRow } from './season.js';
import { leastSize, longestEpisode } from './sizes.js';
import { type StepTest, testStep } from './step-test.js';
import { studentQuantile } from './student.js';
import { lengths, thresholdOf } from './thresholds.js';
import { whenBegan } from './when.js';

/** Points that a baseline is fitted on, at most. */
const window = 200;
/** Points that the newest baseline needs at the least, and that lie between two changes. */
const leastBefore = 10;
const leastApart = 6;
/** Points after which the noise counts half: it changes. */
const noiseHalfLife = 30;
/** Points that the likeliest time of the change must leave since. */
const leastSince = 4;
/** Episodes of throttling are at least so large (4.2 %, an interval below 5 %) and shorter than this many points. */
const throttlingSize = 0.042;
const throttlingPoints = 8;
/** Points before a test that may belong to the new level. */
const lookBack = 12;

interface Seen {
  readonly position: number;
  readonly log: number;
  readonly standardError: number;
  readonly reference: number;
  /** Its row of the design, without steps. */
  readonly season: Float64Array;
  /** What was known before this point. */
  baseline: Baseline | undefined;
}

/** A test of one length at the newest point. */
export interface Scan extends StepTest {
  /** Index of the first point that may be of the new level. */
  readonly from: number;
  readonly length: number;
  /** Points before. */
  readonly count: number;
  readonly baseline: Baseline;
}

/**
 * Watches one series for changes of its level, point by point. For each of the newest points it keeps what was known before
 * it (level, slow season, noise) and tests whether the points since lie off the forecast: a likelihood ratio scan over the time
 * of the change (Willsky and Jones, 1976, IEEE Trans. Automatic Control 21:108) with Student's t noise. An alarm needs a
 * score beyond the threshold of the wanted false-alarm rate, and points that hold the new level. A point costs O(window).
 */
export class ChangeWatch {
  readonly #options: Required<WatchOptions>;
  #seen: Seen[] = [];
  #position = 0;
  #changes: Change[] = [];
  #suspicion: Suspicion | undefined;

  constructor(options: WatchOptions = {}) {
    this.#options = { worse: 'up', pointsPerFalseAlarm: 2000, ...options };
  }

  /** All changes so far, in the order of their discovery. */
  get changes(): readonly Change[] {
    return this.#changes;
  }

  /** What the newest points suggest and do not yet show. */
  get suspicion(): Suspicion | undefined {
    return this.#suspicion;
  }

  /** Adds the next point, `null` where it is missing. Throws RangeError for a value that is not above 0 or not finite. */
  push(point: SeriesPoint | null): ChangeEvent | undefined {
    this.add(point);
    return point ? this.#decide() : undefined;
  }

  /** Adds a point and tests nothing. */
  add(point: SeriesPoint | null): void {
    if (!point) {
      this.#position++;
      return;
    }
    const { value, standardError = Number.NaN, reference = Number.NaN } = point;
    if (!(value > 0 && value < Number.POSITIVE_INFINITY))
      throw new RangeError(`value ${value} of a series is not above 0 and finite`);
    if (standardError < 0 || standardError === Number.POSITIVE_INFINITY)
      throw new RangeError(`standard error ${standardError} is not a share of the value`);
    if (reference <= 0 || reference === Number.POSITIVE_INFINITY)
      throw new RangeError(`reference ${reference} is not above 0 and finite`);
    const position = this.#position++;
    this.#seen.push({
      position,
      log: Math.log(value),
      standardError,
      reference: Math.log(reference),
      season: seasonRow(position),
      baseline: undefined,
    });
    if (this.#seen.length > window + lookBack + (lengths.at(-1) as number)) this.#seen.shift();
    this.#fit(this.#seen.length - 1);
    // Tests go back no farther: a series in memory stays small.
    const done = this.#seen.at(-1 - lookBack - (lengths.at(-1) as number));
    if (done) done.baseline = undefined;
  }

  /** Tests of all lengths at the newest point. */
  scan(): Scan[] {
    const out: Scan[] = [];
    for (const length of lengths) {
      const from = this.#seen.length - length;
      const baseline = this.#seen[from]?.baseline;
      if (!baseline) continue;
      const since = this.#seen.slice(from);
      const test = testStep(baseline, {
        rows: since.map(({ season, position }) => designRow(season, position, baseline.steps)),
        values: Float64Array.from(since, ({ log }) => log),
        relative: relativeScales(
          since.map(({ standardError }) => standardError),
          baseline.typicalError,
          baseline.scale,
        ),
      });
      if (test && Math.abs(test.size) >= leastSize)
        out.push({ ...test, from, length, count: baseline.count, baseline });
    }
    return out;
  }

  #decide(): ChangeEvent | undefined {
    this.#suspicion = undefined;
    let [best, most]: [Scan | undefined, number] = [undefined, 1];
    for (const scan of this.scan()) {
      const share =
        Math.abs(scan.score) / thresholdOf(scan.length, scan.count, this.#options.pointsPerFalseAlarm);
      const held = share > 1 ? heldPoints(scan) : 0;
      if (held === 0) continue;
      const missing = this.#pointsMissing(scan, held);
      if (missing > 0)
        this.#suspicion = {
          since: (this.#seen[this.#when(scan).since] as Seen).position,
          ratio: Math.exp(scan.size),
          pointsMissing: missing,
        };
      else if (share > most) [best, most] = [scan, share];
    }
    if (!best) return undefined;
    this.#suspicion = undefined;
    return this.#report(best);
  }

  #judge({ from, size }: Scan): 'machine' | 'series' | 'unknown' {
    const references = this.#seen.map(({ reference }) => reference);
    return judgeByReference(references.slice(Math.max(0, from - 20), from), references.slice(from), size);
  }

  /**
   * An episode of throttling looks like a step until it ends, unless the reference tells them apart. Its height is taken from the
   * median of the points since it began: a test that reaches beyond sees a smaller step.
   */
  #pointsMissing(scan: Scan, held: number): number {
    const sign = this.#options.worse === 'up' ? 1 : -1;
    const since = this.#seen.length - this.#when(scan).since;
    const newest = scan.residuals.slice(-since).map((residual) => sign * residual);
    const height = Math.max(sign * scan.size, medianOf(newest));
    const verdict = this.#judge(scan);
    if (verdict !== 'machine' && (height < throttlingSize || verdict === 'series'))
      return Math.max(0, leastSince - since);
    const high = scan.residuals.filter((residual) => Math.abs(residual) > Math.abs(height) / 2).length;
    return Math.max(0, throttlingPoints - Math.min(held, high, since));
  }

  #report(scan: Scan): ChangeEvent | undefined {
    const { size, standardError } = scan;
    const half = standardError * studentQuantile(scan.length - 1);
    const last = this.#changes.at(-1);
    const cause = this.#judge(scan) === 'machine' ? 'machine' : 'series';
    const { since, interval } = this.#when(scan);
    const positionAt = (index: number): number => (this.#seen[index] as Seen).position;
    const change: Change = {
      since: positionAt(since),
      sinceInterval: [positionAt(interval[0]), positionAt(interval[1])],
      ratio: Math.exp(size),
      ratioCi: [Math.exp(size - half), Math.exp(size + half)],
      foundAt: this.#position - 1,
      cause,
    };
    this.#steps.push(change.since);
    for (let i = 0; i < this.#seen.length; i++) {
      if (i < since) (this.#seen[i] as Seen).baseline = undefined;
      else this.#fit(i);
    }
    const undone =
      last &&
      last.returnedAt === undefined &&
      change.since - last.since <= longestEpisode &&
      Math.abs(Math.log(last.ratio) + size) <= Math.max(0.35 * Math.abs(size), 3 * standardError);
    if (!undone) {
      this.#changes.push(change);
      return { kind: 'changed', change };
    }
    const returned = { ...last, returnedAt: change.since };
    this.#changes[this.#changes.length - 1] = returned;
    return { kind: 'returned', change: returned };
  }

  #steps: number[] = [];

  #when({ from, size, scales, baseline }: Scan): { since: number; interval: readonly [number, number] } {
    const latest = this.#steps.at(-1) ?? Number.NEGATIVE_INFINITY;
    let first = Math.max(0, from - lookBack);
    while ((this.#seen[first] as Seen).position <= latest) first++;
    const part = this.#seen.slice(first);
    const values = forecast(
      baseline,
      part.map(({ season, position }) => designRow(season, position, baseline.steps)),
    );
    const residuals = part.map(({ log }, i) => log - (values[i] as number));
    const scale = scales[0] as number;
    const { since, interval } = whenBegan(residuals, new Float64Array(part.length).fill(scale), size);
    return { since: first + since, interval: [first + interval[0], first + interval[1]] };
  }

  /** Fits what was known before the point at `index`. */
  #fit(index: number): void {
    const point = this.#seen[index] as Seen;
    point.baseline = undefined;
    const latest = this.#steps.at(-1) ?? Number.NEGATIVE_INFINITY;
    const before = this.#seen.slice(Math.max(0, index - window), index);
    const onLevel = before.filter(({ position }) => position >= latest).length;
    if (before.length < leastBefore || onLevel < leastApart) return;
    const first = (before[0] as Seen).position;
    const steps = this.#steps.filter((step) => step > first && step < point.position);
    const earlier = before.at(-1)?.baseline;
    const values = Float64Array.from(before, ({ log }) => log);
    const errors = before.map(({ standardError }) => standardError);
    const typical = typicalError(errors);
    point.baseline = fitBaseline(
      {
        rows: before.map(({ season, position }) => designRow(season, position, steps)),
        values,
        relative: relativeScales(errors, typical, earlier?.scale ?? typical),
        recency: values.map((_, i) => 0.5 ** ((values.length - 1 - i) / noiseHalfLife)),
      },
      { steps, typicalError: typical, floor: noiseFloor(values) },
      earlier,
    );
  }
}

/** The changes of a whole series: the same as adding its points one by one. */
export function findChanges(
  points: readonly (SeriesPoint | null)[],
  options?: WatchOptions,
): readonly Change[] {
  const watch = new ChangeWatch(options);
  for (const point of points) watch.push(point);
  return watch.changes;
}
