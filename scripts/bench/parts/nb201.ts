import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { CellTableSpace } from '../../../daemon/search/spaces/nasbench/table.js';

export type CellValues = Readonly<Record<string, number>>;

/** NAS-Bench-201's published tables: column -> value, by cell (`ops`). Cells that ignore their input are left out. */
export interface Nb201 {
  readonly space: CellTableSpace;
  readonly cells: ReadonlyMap<string, CellValues>;
  /** Dead cells included. */
  readonly rows: readonly CellValues[];
}

/** Ends the process with a plain message where the data is missing. */
export function openNb201(bench: string, folder: string): Nb201 {
  const file = join(folder, 'nb201.csv.gz');
  if (!existsSync(file)) {
    console.error(`bench ${bench}: ${file} is missing; name the folder that holds it with --data DIR`);
    process.exit(1);
  }
  const [header = [], ...rows] = gunzipSync(readFileSync(file))
    .toString('utf8')
    .trim()
    .split('\n')
    .map((line) => line.split(','));
  const space = new CellTableSpace('nb201');
  const opsAt = header.indexOf('ops');
  const cells = new Map<string, CellValues>();
  const all = rows.map((row) => Object.fromEntries(header.map((name, i) => [name, Number(row[i])])));
  rows.forEach((row, r) => {
    const ops = row[opsAt] as string;
    try {
      space.normalise([...ops].map(Number));
    } catch {
      return;
    }
    cells.set(ops, all[r] as CellValues);
  });
  return { space, cells, rows: all };
}
