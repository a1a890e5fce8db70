import type { Architecture } from '../core/architecture.js';
import { HildaError } from '../core/errors.js';
import { Xoshiro128 } from '../core/rng.js';
import type { TableEntry } from '../predict/tables/latency-table.js';
import type { NamedTable } from '../predict/tables/table-formats.js';
import { type BlockTableKeys, keysOfTable, tableKeys } from '../predict/tables/table-predictor.js';
import type { Block, Space } from '../search/spaces/contract.js';
import type { PredictorBody } from './predictor-body.js';

export type StoredTable = NonNullable<PredictorBody['table']>;

/** Drawn to see which keys a space's networks ask for. */
const drawn = 200;

/** Several files are one table (Once-for-all's come one a resolution); `names` are theirs. Throws TABLE_INVALID where they disagree. */
export function mergeTables(tables: readonly NamedTable[], names: readonly string[]): NamedTable {
  const [first] = tables;
  if (!first) throw new HildaError('TABLE_INVALID', 'no file was given');
  const merged = new Map<string, TableEntry>();
  for (const { table, unit, target, source } of tables) {
    if (unit !== first.unit || target !== first.target)
      throw new HildaError('TABLE_INVALID', `${source} has another unit or target than ${first.source}`);
    for (const [key, entry] of table) {
      const known = merged.get(key);
      if (known && known.mean !== entry.mean)
        throw new HildaError('TABLE_INVALID', `${source} contradicts another file on ${key}`);
      merged.set(key, entry);
    }
  }
  return { ...first, table: merged, source: names.join(', ') };
}

/**
 * Holds a table against a space: what of the space's keys it lacks is stored and told. Throws SPACE_INVALID where the
 * space has no blocks, TABLE_INVALID for keys of operators, TABLE_INCOMPLETE where no network can be told.
 */
export function tableForSpace({ table, unit, source }: NamedTable, space: Space): StoredTable {
  const keys = keysOfTable(table);
  const { told, missing, used } = coverage(space, keys, new Set(table.keys()));
  if (told === 0) {
    const [...named] = missing;
    throw new HildaError(
      'TABLE_INCOMPLETE',
      `the table tells no network of ${space.id}; it lacks ${named.length} keys: ${named.slice(0, 3).join('; ')}`,
      { details: { missing: named } },
    );
  }
  return {
    keys,
    unit,
    source,
    entries: [...table].map(([key, entry]) => ({ key, ...entry })),
    missing: [...missing],
    unused: [...table.keys()].filter((key) => !used.has(key)).length,
  };
}

/** Which keys the space asks for, over random networks and every single change of its largest and smallest. */
function coverage(space: Space, keys: BlockTableKeys, known: ReadonlySet<string>) {
  const blocksOf = space.blocks?.bind(space);
  if (!blocksOf)
    throw new HildaError('SPACE_INVALID', `${space.id} has no blocks that a table could key`, {
      hint: 'Tables tell networks of kinds mbconv and ofa.',
    });
  const rng = Xoshiro128.fromSeed(1);
  const seeds = (space.seeds?.() ?? []) as readonly (readonly number[])[];
  const changed = seeds.flatMap((seed) =>
    (space.dims ?? []).flatMap(({ choices }, d) => choices.map((_, c) => seed.with(d, c))),
  );
  const networks = [
    ...seeds,
    ...changed,
    ...Array.from({ length: drawn }, () => space.sample(rng)),
  ] as readonly Architecture[];
  const used = new Set<string>();
  let told = 0;
  for (const network of networks) {
    const asked = tableKeys(blocksOf(network) as readonly Block[], keys);
    for (const key of asked) used.add(key);
    if (asked.every((key) => known.has(key))) told++;
  }
  return { told, used, missing: new Set([...used].filter((key) => !known.has(key))) };
}
