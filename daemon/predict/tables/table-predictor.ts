import { HildaError } from '../../core/errors.js';
import type { Predictions } from '../contract.js';
import { type LatencyTable, tableSum } from './latency-table.js';

/** A block of a network, as a table may key it. */
export interface KeyedBlock {
  readonly key: string;
  /** Null for stem and head. */
  readonly layer: number | null;
  readonly choice: string | null;
}

/** Tables of blocks know stem and head too; tables of layers (FBNet's) know the searched layers alone. */
export type BlockTableKeys = 'blocks' | 'layers';

/** 90 % of a normal distribution lie so many standard deviations around its mean. */
const deviations = 1.6449;
/**
 * How far a sum of parts may lie from the whole, as a factor, as long as no whole network was compared with it. Set by
 * hand and wide: profiling alone can slow a small network several times.
 */
export const uncheckedFactor = 2;

/** Throws TABLE_INVALID for a table whose keys name operators, or both blocks and layers. */
export function keysOfTable(table: LatencyTable): BlockTableKeys {
  const kinds = new Set(
    [...table.keys()].map((key) =>
      /^\d+ \S+$/.test(key) ? 'layers' : /^[A-Za-z]\w*-input:\S+$/.test(key) ? 'blocks' : 'others',
    ),
  );
  const [kind] = kinds;
  if (kinds.size === 1 && (kind === 'blocks' || kind === 'layers')) return kind;
  const other = [...table.keys()].find((key) => !/^\d+ \S+$|^[A-Za-z]\w*-input:\S+$/.test(key));
  throw new HildaError(
    'TABLE_INVALID',
    other ? `${other} names no block and no layer` : 'the table mixes blocks and layers',
    { hint: 'Operators depend on what a runtime fuses: export the table with --keys blocks or layers.' },
  );
}

export const tableKeys = (blocks: readonly KeyedBlock[], keys: BlockTableKeys): string[] =>
  keys === 'blocks'
    ? blocks.map(({ key }) => key)
    : blocks.flatMap(({ layer, choice }) => (layer === null ? [] : [`${layer} ${choice}`]));

/**
 * A table's word on whole networks. The interval holds the table's own spread (parts taken as independent) and a factor
 * of two for what sums of parts miss. Throws TABLE_INCOMPLETE naming every key that is missing.
 */
export function predictByTable(
  table: LatencyTable,
  keys: BlockTableKeys,
  networks: readonly (readonly KeyedBlock[])[],
): Predictions {
  const asked = networks.map((blocks) => tableKeys(blocks, keys));
  // All at once: a user wants to hear of every key that is missing.
  tableSum(table, asked.flat());
  const mean = Float64Array.from(asked, (list) => tableSum(table, list));
  const spread = asked.map((list, i) => {
    const variance = list.reduce((sum, key) => sum + (table.get(key)?.variance ?? 0), 0);
    return 1 + (deviations * Math.sqrt(variance)) / Math.max(mean[i] as number, 1e-12);
  });
  return {
    mean,
    low: mean.map((value, i) => value / (uncheckedFactor * (spread[i] as number))),
    high: mean.map((value, i) => value * uncheckedFactor * (spread[i] as number)),
  };
}
