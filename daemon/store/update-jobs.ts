import type { Write } from './database.js';
import { type JobRow, jobColumns } from './job-rows.js';

/** Rows of so many columns fit one statement of any engine. */
const most = 500;

const returned = jobColumns.map((column) => `jobs.${column}`).join(', ');

/** Updates jobs by ordinal from a list of values, with one statement for each few hundred. */
export async function updateJobs(
  all: Write['all'],
  rows: readonly (readonly (string | number | null)[])[],
  columns: readonly string[],
  set: string,
  where: string,
): Promise<JobRow[]> {
  const updated: JobRow[] = [];
  for (let from = 0; from < rows.length; from += most) {
    const some = rows.slice(from, from + most);
    const values = some.map((row) => `(${row.map(() => '?').join(', ')})`).join(', ');
    const sql = `WITH v(ordinal, ${columns.join(', ')}) AS (VALUES ${values})
      UPDATE jobs SET ${set} FROM v WHERE jobs.ordinal = v.ordinal AND ${where} RETURNING ${returned}`;
    updated.push(...(await all<JobRow>(sql, some.flat())));
  }
  return updated;
}
