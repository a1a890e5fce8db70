import { HildaError } from '../../core/errors.js';
import { sha256Hex } from '../../core/hash.js';
import { mixedUnits } from '../../predict/features/table-cells.js';
import { csvFigures } from './csv-figures.js';
import { Faults } from './faults.js';
import type { ImportedRow, ImportedTable, TableRow } from './imported-row.js';
import { placeOf, tinyFigures } from './mlperf-tiny.js';

interface Given {
  readonly name: string;
  readonly text: string;
}

const mostRows = 10_000;

/**
 * Published figures: tables (CSV), and files of submissions to MLPerf Tiny. `device` names the device of tables that name none.
 * Throws TABLE_INVALID with the rows that are wrong.
 */
export function readFigures(files: readonly Given[], device: string | null): ImportedTable {
  const repeated = files.find(({ name }, i) => files.findIndex((one) => one.name === name) < i);
  if (repeated) throw new HildaError('TABLE_INVALID', `two files are called ${repeated.name}`);
  const submitted = files.filter(({ name }) => placeOf(name) !== undefined);
  const tables = files.filter(({ name }) => placeOf(name) === undefined);
  const tiny = tinyFigures(submitted);
  const rows = [
    ...tables.flatMap(({ name, text }) => csvFigures(text, name).map((row) => ({ ...row, file: name }))),
    ...tiny.rows,
  ];
  if (rows.length > mostRows)
    throw new HildaError('TABLE_INVALID', `${rows.length} figures are more than ${mostRows}`);
  if (rows.length === 0) throw new HildaError('TABLE_INVALID', 'the files hold no figure of a device');
  const hashes = new Map(files.map(({ name, text }) => [name, sha256Hex(new TextEncoder().encode(text))]));
  const named = rows.map(
    ({ row, file, ...one }): ImportedRow => ({
      ...one,
      device: deviceOf({ ...one, row }, file, device),
      source: { file, sha256: hashes.get(file) as string, row },
    }),
  );
  const { kept, cautions } = withoutRepeats(named);
  return { rows: kept, cautions: [...tiny.cautions, ...cautions, ...unitCautions(kept)] };
}

function deviceOf(row: TableRow, file: string, device: string | null): string {
  const faults = new Faults(file);
  if (row.device !== null && device !== null && row.device !== device)
    faults.add(row.row, `it names the device ${row.device}: leave --device out`);
  if (row.device === null && device === null)
    faults.add(1, 'there is no column device: name it with --device');
  faults.check();
  return (row.device ?? device) as string;
}

/** Equal rows count once. Rows of one network on one device that disagree are a fault: nothing tells which holds. */
function withoutRepeats(rows: readonly ImportedRow[]): { kept: ImportedRow[]; cautions: string[] } {
  const known = new Map<string, ImportedRow>();
  let repeats = 0;
  for (const row of rows) {
    const { network, device, runtime, precision, source } = row;
    const key = JSON.stringify([network, device, runtime, precision]);
    const first = known.get(key);
    if (!first) {
      known.set(key, row);
      continue;
    }
    repeats++;
    const said = ({ source: _, ...figures }: ImportedRow): string => JSON.stringify(figures);
    if (said(first) === said(row)) continue;
    const faults = new Faults(source.file);
    const at = first.source.file === source.file ? '' : ` of ${first.source.file}`;
    faults.add(source.row, `${network} on ${device} is another figure in row ${first.source.row}${at}`);
    faults.check();
  }
  const cautions = repeats > 0 ? [`${repeats} rows repeat earlier ones: each figure counts once`] : [];
  return { kept: [...known.values()], cautions };
}

/** About 1,000 between two groups of costs is what milliseconds among microseconds make. */
const thousand = [250, 4000] as const;

function unitCautions(rows: readonly ImportedRow[]): string[] {
  const mixed = mixedUnits(
    rows.map(({ latencyUs }) => latencyUs),
    rows.map((_, i) => i),
  );
  if (!mixed || mixed.factor < thousand[0] || mixed.factor > thousand[1]) return [];
  const places = mixed.lines.slice(0, 5).map((i) => {
    const { file, row } = (rows[i] as ImportedRow).source;
    return `${file} row ${row}`;
  });
  return [
    `the latencies fall into two groups, ${mixed.factor.toPrecision(3)} times apart: are there two units? The smaller group: ${places.join(', ')}${mixed.lines.length > 5 ? ', …' : ''}`,
  ];
}
