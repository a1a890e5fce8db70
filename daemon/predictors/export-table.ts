import { HildaError } from '../core/errors.js';
import { targetKey } from '../core/target.js';
import {
  type Additivity,
  collectTable,
  type MeasuredParts,
  testAdditivity,
} from '../predict/tables/latency-table.js';
import type { NamedTable } from '../predict/tables/table-formats.js';
import type { PredictorRecord } from '../store/contract.js';
import type { StoredTable } from './imported-table.js';
import { type PredictorBody, readBody } from './predictor-body.js';

/** How tables key a network's parts. */
export type TableKeys = 'operators' | 'blocks' | 'layers';

export interface ExportedTable {
  readonly named: NamedTable;
  /** Null for an imported table: nothing is known of it. */
  readonly additivity: Additivity | null;
}

/**
 * A predictor's costs as a table, by operators unless told otherwise; an imported one by what it came with. Throws
 * PREDICTOR_UNFIT where nothing was profiled, or a table has other keys.
 */
export function exportTable(record: PredictorRecord, wanted?: TableKeys): ExportedTable {
  const body = readBody(record);
  if (body.table) return { named: importedTable(record, body.table, wanted), additivity: null };
  const keys = wanted ?? 'operators';
  const networks = partsBy(body, keys);
  if (networks.length === 0) {
    throw new HildaError('PREDICTOR_UNFIT', `${record.id} has no ${keys} to make a table of`, {
      hint: 'Build one with `hilda lut build` on a device that profiles operators; blocks and layers need an mbconv space.',
    });
  }
  return {
    named: {
      table: collectTable(networks),
      unit:
        record.metric === 'instructions' ? 'instructions' : body.provenance === 'emulated' ? 'cycles' : 'us',
      target: targetKey(record.target),
      provenance: body.provenance === 'emulated' ? 'emulated' : 'measured',
      source: `hilda ${record.id}`,
    },
    additivity: testAdditivity(networks),
  };
}

function importedTable(
  { id, target }: PredictorRecord,
  { keys, entries, unit, source }: StoredTable,
  wanted: TableKeys = keys,
): NamedTable {
  if (wanted !== keys)
    throw new HildaError('PREDICTOR_UNFIT', `${id} is an imported table of ${keys}, and has no ${wanted}`);
  const table = new Map(entries.map(({ key, ...entry }) => [key, entry]));
  return { table, unit, target: targetKey(target), provenance: 'imported', source };
}

function partsBy(body: PredictorBody, keys: TableKeys): MeasuredParts[] {
  return body.samples.flatMap(({ parts, blocks, value }): MeasuredParts[] => {
    if (keys === 'operators') return parts.length > 0 ? [{ parts, whole: value }] : [];
    if (blocks.length === 0) return [];
    return keys === 'blocks'
      ? [{ parts: blocks.map(({ key, cost }) => ({ key, cost })), whole: value }]
      : [
          {
            parts: blocks.map(({ key, cost, layer, choice }) => ({
              key: layer === null ? key : `${layer} ${choice}`,
              cost,
            })),
            whole: value,
          },
        ];
  });
}
