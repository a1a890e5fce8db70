import { HildaError } from '../../core/errors.js';
import { kendall, medianOf } from '../statistics.js';

/** Statistics of one operator or block, over every time it was seen. Microseconds, or the target's own unit of cost. */
export interface TableEntry {
  readonly count: number;
  readonly mean: number;
  readonly variance: number;
}

/** What each operator or block costs inside whole networks, by key. */
export type LatencyTable = ReadonlyMap<string, TableEntry>;

/** One whole network that was run: its parts' own times, and its time end to end. */
export interface MeasuredParts {
  readonly parts: readonly { readonly key: string; readonly cost: number }[];
  readonly whole: number;
}

/** Collects every part of every network (Welford 1962). Parts that were measured in context, never alone. */
export function collectTable(networks: readonly MeasuredParts[]): LatencyTable {
  const table = new Map<string, { count: number; mean: number; squares: number }>();
  for (const { parts } of networks) {
    for (const { key, cost } of parts) {
      const entry = table.get(key) ?? { count: 0, mean: 0, squares: 0 };
      table.set(key, entry);
      entry.count++;
      const step = cost - entry.mean;
      entry.mean += step / entry.count;
      entry.squares += step * (cost - entry.mean);
    }
  }
  return new Map(
    [...table]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, { count, mean, squares }]) => [
        key,
        { count, mean, variance: count > 1 ? squares / (count - 1) : 0 },
      ]),
  );
}

/** The table's word on a network. Throws TABLE_INCOMPLETE naming what is missing: no constant stands in for it. */
export function tableSum(table: LatencyTable, keys: Iterable<string>): number {
  let sum = 0;
  const missing = new Set<string>();
  for (const key of keys) {
    const entry = table.get(key);
    if (entry) sum += entry.mean;
    else missing.add(key);
  }
  if (missing.size > 0) {
    const shown = [...missing].slice(0, 3);
    throw new HildaError(
      'TABLE_INCOMPLETE',
      `the table lacks ${missing.size} key${missing.size === 1 ? '' : 's'}: ${shown.join('; ')}`,
      { details: { missing: [...missing] } },
    );
  }
  return sum;
}

/** How well sums of parts tell the whole. */
export interface Additivity {
  readonly n: number;
  /** Median of sum over whole, minus 1, in percent: positive where the parts claim more than the whole. */
  readonly biasPercent: number;
  readonly mapePercent: number;
  /** After one factor for all, `scale`: what is left is no matter of profiling overhead. */
  readonly scaledMapePercent: number;
  readonly kendall: number;
  /** The factor that brings the sums nearest to the wholes: their median ratio. */
  readonly scale: number;
}

/** Each network is told by a table from the others, so that none explains itself. Needs three networks. */
export function testAdditivity(networks: readonly MeasuredParts[]): Additivity {
  if (networks.length < 3)
    throw new HildaError('PREDICTOR_UNFIT', `additivity needs three networks, not ${networks.length}`);
  const table = collectTable(networks);
  const pairs = networks.flatMap(({ parts, whole }) => {
    const sum = leaveOut(table, parts);
    return sum === undefined ? [] : [{ sum, whole }];
  });
  if (pairs.length < 3) {
    throw new HildaError('TABLE_INCOMPLETE', 'too few networks share their parts with others', {
      hint: 'Measure more networks of the space.',
    });
  }
  return additivityOf(pairs);
}

/** Of sums that were made without the whole networks beside them. */
function additivityOf(pairs: readonly { readonly sum: number; readonly whole: number }[]): Additivity {
  const scale = medianOf(pairs.map(({ sum, whole }) => whole / sum));
  const mape = (factor: number): number =>
    (100 * pairs.reduce((total, { sum, whole }) => total + Math.abs((factor * sum) / whole - 1), 0)) /
    pairs.length;
  return {
    n: pairs.length,
    biasPercent: 100 * (1 / scale - 1),
    mapePercent: mape(1),
    scaledMapePercent: mape(scale),
    kendall: kendall(
      pairs.map(({ sum }) => sum),
      pairs.map(({ whole }) => whole),
    ),
    scale,
  };
}

/** The sum over `parts` with the network's own times taken out of each mean; undefined where nothing is left. */
function leaveOut(table: LatencyTable, parts: MeasuredParts['parts']): number | undefined {
  const own = new Map<string, number[]>();
  for (const { key, cost } of parts) own.set(key, [...(own.get(key) ?? []), cost]);
  let sum = 0;
  for (const [key, costs] of own) {
    const { count, mean } = table.get(key) as TableEntry;
    const others = count - costs.length;
    if (others === 0) return undefined;
    sum += (costs.length * (count * mean - costs.reduce((total, cost) => total + cost, 0))) / others;
  }
  return sum;
}
