import { type LatencyTable, tableSum } from '../predict/tables/latency-table.js';
import type { Block, Dim, Space } from '../search/spaces/contract.js';

/** What each choice of each searched layer costs, in the table's unit; `fixed`: stem and head. */
export interface BlockCosts {
  readonly fixed: number;
  readonly layers: readonly (readonly number[])[];
}

/**
 * A table's words on every choice of a space with blocks. Tables by block (`--keys blocks`, ProxylessNAS's and
 * Once-for-all's) know stem and head too; in tables by layer (`--keys layers`, FBNet's) these cost nothing. A layer left
 * out costs nothing. Throws TABLE_INCOMPLETE naming what is missing.
 */
export function blockCosts(space: Space, table: LatencyTable): BlockCosts {
  const dims = space.dims as readonly Dim[];
  const blocksOf = space.blocks as NonNullable<Space['blocks']>;
  const largest = (space.seeds?.() ?? []).at(-1) as readonly number[];
  const byLayer = [...table.keys()].some((key) => /^\d+ \S+$/.test(key));
  const keysOf = (block: Block): string[] => {
    if (!byLayer) return [block.key];
    return block.layer === null ? [] : [`${block.layer} ${block.choice}`];
  };
  const all: string[] = [];
  const asked = dims.map((dim, l) =>
    dim.choices.map((_, choice) => {
      const keys = blocksOf(largest.map((index, k) => (k === l ? choice : index)))
        .filter((block) => block.layer === l)
        .flatMap(keysOf);
      all.push(...keys);
      return keys;
    }),
  );
  const ends = blocksOf(largest)
    .filter((block) => block.layer === null)
    .flatMap(keysOf);
  // All at once: a user wants to hear of every key that is missing.
  tableSum(table, [...all, ...ends]);
  return {
    fixed: tableSum(table, ends),
    layers: asked.map((choices) => choices.map((keys) => tableSum(table, keys))),
  };
}

/** Of one architecture. */
export const costOf = ({ fixed, layers }: BlockCosts, architecture: readonly number[]): number =>
  architecture.reduce((sum, choice, l) => sum + (layers[l]?.[choice] as number), fixed);

/** Mean over all architectures, each as likely: where a search starts from. */
export const meanCost = ({ fixed, layers }: BlockCosts): number =>
  layers.reduce((sum, costs) => sum + costs.reduce((a, b) => a + b, 0) / costs.length, fixed);
