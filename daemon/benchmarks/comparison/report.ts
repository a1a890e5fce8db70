import type { CostMetric } from '../../core/measurement.js';
import type { ImportedRow } from '../../reading/benchmark-tables/imported-row.js';
import type { BenchmarkRunRecord } from '../../store/benchmark-contract.js';
import type { MeasurementRecord } from '../../store/contract.js';
import { type Imported, importedOf, placeOf } from '../imports/imported-run.js';
import { type Suite, suiteOf } from '../suites/suite.js';
import { type Beside, besideOf, type Side } from './beside.js';
import { type Compared, compareSeries, type Lost } from './compare-series.js';
import { heldAgainst, type LimitOutcome } from './limits.js';
import { estimateOf, pairedRatio, type Ratio } from './ratio.js';
import { metricsOf, type Series } from './series.js';

/** One metric of one network on one place. */
export interface Figure {
  readonly metric: CostMetric;
  readonly value: number;
  /** At 95 %; null for what is counted exactly, or has none. */
  readonly interval: readonly [low: number, high: number] | null;
}

export interface ReportRow {
  readonly network: string;
  readonly place: string;
  readonly taken: readonly MeasurementRecord[];
  readonly figures: readonly Figure[];
  /** Cases without a valid measurement, and why. */
  readonly failures: readonly string[];
  /** What somebody else published, with its source; null for what was measured here. */
  readonly imported: ImportedRow | null;
}

/** Two networks in turn on one place. */
export interface Alternated {
  readonly place: string;
  readonly metric: CostMetric;
  readonly networks: readonly [a: string, b: string];
  readonly pairs: number;
  /** Of the second network's cost over the first one's; null where too few pairs are valid. */
  readonly ratio: Ratio | null;
}

/** All that a run says: every form of a report is made from it. */
export interface Report {
  readonly run: BenchmarkRunRecord;
  readonly rows: readonly ReportRow[];
  readonly limits: readonly LimitOutcome[];
  readonly alternated: readonly Alternated[];
  readonly comparison: {
    readonly with: BenchmarkRunRecord;
    /** The suites of both runs differ. */
    readonly suiteChanged: boolean;
    readonly compared: readonly Compared[];
    readonly lost: readonly Lost[];
  } | null;
  /** From which files the run is; null for a run of a suite. */
  readonly imported: Imported | null;
  /** In place of a comparison where one of the two runs is imported: nothing of it breaks a run. */
  readonly beside: { readonly with: BenchmarkRunRecord; readonly pairs: readonly Beside[] } | null;
}

/** `earlier`: the run to compare with. Throws BASELINE_MISMATCH where nothing of both runs can be compared. */
export function reportOf(now: Side, earlier: Side | null): Report {
  const { run, series, figures } = now;
  const suite = figures ? null : suiteOf(run.request);
  const isBeside = figures !== null || (earlier !== null && earlier.figures !== null);
  return {
    run,
    rows: figures ? figures.map(importedRow) : series.map(rowOf),
    limits: suite ? heldAgainst(suite.limits, series) : [],
    alternated: suite?.alternate ? alternatedOf(series, suite) : [],
    comparison:
      earlier && suite && !isBeside
        ? {
            with: earlier.run,
            suiteChanged: earlier.run.specHash !== run.specHash,
            ...compareSeries(earlier, now, suite.tolerance),
          }
        : null,
    imported: importedOf(run),
    beside:
      earlier && isBeside
        ? { with: earlier.run, pairs: besideOf(earlier, now, toleranceOf(suite, earlier)) }
        : null,
  };
}

const defaultTolerance = 0.03;

/** That of the suite which measured; both sides may be imported. */
const toleranceOf = (suite: Suite | null, { run, figures }: Side): number =>
  (suite ?? (figures ? null : suiteOf(run.request)))?.tolerance ?? defaultTolerance;

const importedRow = (row: ImportedRow): ReportRow => ({
  network: row.network,
  place: placeOf(row),
  taken: [],
  figures: [{ metric: 'latencyUs', value: row.latencyUs, interval: row.interval }],
  failures: [],
  imported: row,
});

function rowOf(series: Series): ReportRow {
  const { network, place, taken, cases } = series;
  const measurements = [...taken.values()];
  return {
    network,
    place,
    taken: measurements,
    figures: metricsOf(series).flatMap((metric) => {
      const known = estimateOf(measurements, metric);
      if (!known) return [];
      const { value, log, error } = known;
      const interval = [Math.exp(log - 1.96 * error), Math.exp(log + 1.96 * error)] as const;
      return [{ metric, value, interval: error > 0 ? interval : null }];
    }),
    failures: cases.flatMap(({ state, error }) => {
      if (state === 'done') return [];
      if (error) return [`${error.code}: ${error.message}`];
      return [state === 'open' ? 'not measured' : state];
    }),
    imported: null,
  };
}

function alternatedOf(series: readonly Series[], suite: Suite): Alternated[] {
  const places = [...new Set(series.map(({ place }) => place))];
  const found = places.flatMap((place) => {
    const [a, b] = series.filter((one) => one.place === place);
    if (!a || !b) return [];
    const pairs = [...a.taken].flatMap(([repetition, first]) => {
      const second = b.taken.get(repetition);
      return second ? [[first, second] as const] : [];
    });
    const shared = metricsOf(a).filter((metric) => metricsOf(b).includes(metric));
    return (shared.length > 0 ? shared : (['latencyUs'] as const)).map((metric) => ({
      place,
      metric,
      networks: [a.network, b.network] as const,
      pairs,
    }));
  });
  const tail = 0.05 / Math.max(1, found.length);
  return found.map(({ pairs, ...one }) => ({
    ...one,
    pairs: pairs.length,
    ratio: pairedRatio(pairs, one.metric, { tail, tolerance: suite.tolerance }),
  }));
}
