import { HildaError } from '../../core/errors.js';
import { type CostMetric, isExact } from '../../core/measurement.js';
import { chosenFields, type Target } from '../../core/target.js';
import type { BenchmarkRunRecord } from '../../store/benchmark-contract.js';
import type { MeasurementRecord } from '../../store/contract.js';
import { estimateOf, type Ratio, ratioOf } from './ratio.js';
import { metricsOf, type Series, seriesKey } from './series.js';

/** One metric of one network on one place, now and before. */
export interface Compared {
  readonly network: string;
  readonly place: string;
  readonly metric: CostMetric;
  readonly before: number;
  readonly now: number;
  readonly ratio: Ratio;
  /** The network itself is another one than before. */
  readonly networkChanged: boolean;
}

/** What the earlier run measured and this one cannot be held against. */
export interface Lost {
  readonly network: string;
  readonly place: string;
  readonly why: string;
}

interface Measured {
  readonly run: BenchmarkRunRecord;
  readonly series: readonly Series[];
}

/** All intervals of one comparison together leave out the truth of one in 20 comparisons, however many they are. */
const familyTail = 0.05;

/**
 * Holds what a run measured against an earlier one, by the names of networks and places. Throws BASELINE_MISMATCH where nothing
 * can be compared.
 */
export function compareSeries(
  before: Measured,
  now: Measured,
  tolerance: number,
): { readonly compared: readonly Compared[]; readonly lost: readonly Lost[] } {
  const present = new Map(now.series.map((one) => [seriesKey(one), one]));
  const lost: Lost[] = [];
  const pairs: { old: Series; new: Series; metric: CostMetric }[] = [];
  for (const old of before.series) {
    const [first] = old.taken.values();
    if (!first) continue;
    const { network, place } = old;
    const fresh = present.get(seriesKey(old));
    const [one] = fresh?.taken.values() ?? [];
    const differing = one ? targetsDiffer(first.target, one.target) : [];
    if (!fresh) lost.push({ network, place, why: 'it is no part of this run' });
    else if (!one) lost.push({ network, place, why: 'this run has no valid measurement of it' });
    else if (differing.length > 0 || first.provenance !== one.provenance)
      lost.push({ network, place, why: `the targets differ: ${describe(first, one, differing)}` });
    else
      for (const metric of metricsOf(old))
        if (metricsOf(fresh).includes(metric)) pairs.push({ old, new: fresh, metric });
        else lost.push({ network, place, why: `this run has no ${metric} of it` });
  }
  if (pairs.length === 0) throw mismatch(before.run, now.run, lost);
  const uncertain = pairs.filter(
    ({ old, metric }) => !isExact(metric, ([...old.taken.values()][0] as MeasurementRecord).provenance),
  ).length;
  const tail = familyTail / Math.max(1, uncertain);
  return { lost, compared: pairs.map((pair) => compareOne(pair, { tail, tolerance })) };
}

function compareOne(
  { old, new: fresh, metric }: { readonly old: Series; readonly new: Series; readonly metric: CostMetric },
  options: { readonly tail: number; readonly tolerance: number },
): Compared {
  const [a, b] = [old, fresh].map(({ taken }) => [...taken.values()]) as [
    MeasurementRecord[],
    MeasurementRecord[],
  ];
  const [before, now] = [estimateOf(a, metric), estimateOf(b, metric)];
  if (!before || !now) throw new HildaError('INTERNAL', `a measurement without ${metric}`);
  const identity = ({ structureHash, weightsHash }: MeasurementRecord): string => structureHash + weightsHash;
  return {
    network: fresh.network,
    place: fresh.place,
    metric,
    before: before.value,
    now: now.value,
    ratio: ratioOf(before, now, options),
    networkChanged: identity(a[0] as MeasurementRecord) !== identity(b[0] as MeasurementRecord),
  };
}

const targetsDiffer = (a: Target, b: Target): (keyof Target)[] =>
  chosenFields.filter((field) => a[field] !== b[field]);

const describe = (a: MeasurementRecord, b: MeasurementRecord, fields: readonly (keyof Target)[]): string =>
  fields.length === 0
    ? `${a.provenance} then, ${b.provenance} now`
    : fields.map((field) => `${field} was ${a.target[field]} and is ${b.target[field]}`).join(', ');

function mismatch(
  before: BenchmarkRunRecord,
  now: BenchmarkRunRecord,
  [first, ...more]: readonly Lost[],
): HildaError {
  const why = first ? `${first.network} on ${first.place}: ${first.why}` : 'it holds no valid measurement';
  return new HildaError(
    'BASELINE_MISMATCH',
    `the runs ${before.id} and ${now.id} have nothing to compare; ${why}${more.length > 0 ? `, and ${more.length} more` : ''}`,
    { details: { before: before.id, run: now.id } },
  );
}
