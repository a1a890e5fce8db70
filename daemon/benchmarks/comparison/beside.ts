import { HildaError } from '../../core/errors.js';
import type { CostMetric } from '../../core/measurement.js';
import { withinOf } from '../../measure/sessions.js';
import type { ImportedRow } from '../../reading/benchmark-tables/imported-row.js';
import type { BenchmarkRunRecord } from '../../store/benchmark-contract.js';
import { placeOf } from '../imports/imported-run.js';
import { type Estimate, estimateOf, type Ratio, ratioOf } from './ratio.js';
import type { Series } from './series.js';

/** One run with what it says: series of measurements, or figures that somebody else published. */
export interface Side {
  readonly run: BenchmarkRunRecord;
  readonly series: readonly Series[];
  readonly figures: readonly ImportedRow[] | null;
}

/** One network in two runs of which at least one is imported, each on its own place. */
export interface Beside {
  readonly network: string;
  readonly place: string;
  readonly otherPlace: string;
  readonly metric: CostMetric;
  readonly before: number;
  readonly now: number;
  /** Whose intervals the ratio's interval holds; null where neither side tells one, and the verdict is then `unclear`. */
  readonly intervalOf: 'both' | 'this' | 'other' | null;
  readonly ratio: Ratio;
}

interface Known {
  readonly network: string;
  readonly place: string;
  readonly estimate: Estimate;
  readonly hasInterval: boolean;
}

const metric = 'latencyUs';
const mostPairs = 10_000;
const familyTail = 0.05;

/**
 * Holds each network of a run beside the same name in the other, on all places of both. Throws BASELINE_MISMATCH where no name is
 * in both, and where there are too many pairs to read.
 */
export function besideOf(before: Side, now: Side, tolerance: number): Beside[] {
  const others = new Map<string, Known[]>();
  for (const one of knownOf(before)) others.set(one.network, [...(others.get(one.network) ?? []), one]);
  const mine = knownOf(now);
  const count = mine.reduce((sum, { network }) => sum + (others.get(network)?.length ?? 0), 0);
  if (count === 0)
    throw mismatch(before, now, 'no network of the one has a latency under the same name in the other');
  if (count > mostPairs) throw mismatch(before, now, `${count} pairs are more than ${mostPairs}`);
  const tail = familyTail / count;
  return mine.flatMap((one) =>
    (others.get(one.network) ?? []).map((other): Beside => {
      const ratio = ratioOf(other.estimate, one.estimate, { tail, tolerance });
      const told = one.hasInterval || other.hasInterval;
      return {
        network: one.network,
        place: one.place,
        otherPlace: other.place,
        metric,
        before: other.estimate.value,
        now: one.estimate.value,
        intervalOf:
          one.hasInterval && other.hasInterval ? 'both' : one.hasInterval ? 'this' : told ? 'other' : null,
        ratio: told ? ratio : { ...ratio, verdict: 'unclear' },
      };
    }),
  );
}

function knownOf({ series, figures }: Side): Known[] {
  if (figures)
    return figures.map((row) => ({
      network: row.network,
      place: placeOf(row),
      estimate: {
        value: row.latencyUs,
        log: Math.log(row.latencyUs),
        error: row.interval ? withinOf(row.interval) : 0,
        freedom: Number.POSITIVE_INFINITY,
        exact: false,
      },
      hasInterval: row.interval !== null,
    }));
  return series.flatMap(({ network, place, taken }) => {
    const estimate = estimateOf([...taken.values()], metric);
    return estimate ? [{ network, place, estimate, hasInterval: estimate.error > 0 }] : [];
  });
}

const mismatch = (before: Side, now: Side, why: string): HildaError =>
  new HildaError(
    'BASELINE_MISMATCH',
    `the runs ${before.run.id} and ${now.run.id} cannot be held side by side: ${why}`,
    {
      hint: 'Name networks in the table as the suite names them.',
      details: { before: before.run.id, run: now.run.id },
    },
  );
