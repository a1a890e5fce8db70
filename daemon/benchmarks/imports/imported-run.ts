import { z } from 'zod';
import { HildaError } from '../../core/errors.js';
import { sha256Hex } from '../../core/hash.js';
import { canonicalJson, type Json } from '../../core/json.js';
import {
  type ImportedRow,
  type ImportedTable,
  importedRowSchema,
} from '../../reading/benchmark-tables/imported-row.js';
import type {
  BenchmarkCaseRecord,
  BenchmarkRunRecord,
  BenchmarkStore,
} from '../../store/benchmark-contract.js';

/** What stands in a run's request in place of a suite. */
export const importedSchema = z.object({
  files: z.array(z.object({ name: z.string(), sha256: z.string() })),
  cautions: z.array(z.string()),
});
export type Imported = z.infer<typeof importedSchema>;

/** Whether somebody else published the figures of a run. */
export const isImported = ({ request }: Pick<BenchmarkRunRecord, 'request'>): boolean =>
  typeof request === 'object' && request !== null && 'imported' in request;

/** From which files, and what a person is to look at; null for a run of a suite. */
export function importedOf({ id, request }: BenchmarkRunRecord): Imported | null {
  if (!isImported({ request })) return null;
  const read = importedSchema.safeParse((request as { readonly imported: Json }).imported);
  if (read.success) return read.data;
  throw new HildaError('INTERNAL', `the imported run ${id} cannot be read: ${z.prettifyError(read.error)}`);
}

/** Where a figure was taken, as reports name places. No selector of this daemon's devices reads so. */
export const placeOf = ({ device, runtime, precision }: ImportedRow): string => {
  const chosen = [runtime, precision].filter((one) => one !== null).join(', ');
  return `imported: ${device}${chosen === '' ? '' : ` (${chosen})`}`;
};

/** The figures of an imported run, out of its cases. */
export const figuresOf = (cases: readonly BenchmarkCaseRecord[]): ImportedRow[] =>
  cases.map(({ run, number, asked }) => {
    const read = importedRowSchema.safeParse((asked as { readonly imported?: Json }).imported);
    if (read.success) return read.data;
    throw new HildaError('INTERNAL', `case ${number} of the imported run ${run} cannot be read`);
  });

/** Keeps published figures as a run that has ended: no measurement, so no series, history, predictor or alert knows it. */
export function keepImported(
  suite: string,
  { rows, cautions }: ImportedTable,
  store: Pick<BenchmarkStore, 'addImportedRun'>,
): Promise<BenchmarkRunRecord> {
  const files = new Map(rows.map(({ source: { file, sha256 } }) => [file, sha256]));
  const imported: Imported = {
    files: [...files].map(([name, sha256]) => ({ name, sha256 })),
    cautions: [...cautions],
  };
  const figures = rows.map((row) => ({
    network: row.network,
    place: placeOf(row),
    asked: { imported: row } as unknown as Json,
  }));
  const specHash = sha256Hex(canonicalJson(figures.map(({ asked }) => asked) as Json));
  return store.addImportedRun({ suite, spec: { imported } as unknown as Json, specHash, figures });
}
