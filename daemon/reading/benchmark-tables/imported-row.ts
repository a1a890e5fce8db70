import { z } from 'zod';

/** A figure that somebody else published, with where it stands: provenance `imported`. As read, stored and answered. */
export const importedRowSchema = z
  .object({
    network: z.string(),
    device: z.string().describe('As the source names it; no device of this daemon.'),
    runtime: z.string().nullable(),
    precision: z.string().nullable(),
    date: z.string().nullable(),
    latencyUs: z.number().positive(),
    interval: z
      .tuple([z.number().positive(), z.number().positive()])
      .readonly()
      .nullable()
      .describe('In microseconds, taken as a 95 % interval; null where the source tells none.'),
    energyUj: z.number().positive().nullable().describe('Of one inference, in microjoules.'),
    accuracy: z.number().nullable().describe('A share of 1.'),
    auc: z.number().nullable().describe('Area under the ROC curve.'),
    source: z.object({
      file: z.string(),
      sha256: z.string().describe('Of the file.'),
      row: z.int().describe('In the file: the header of a table is row 1, the first line of a log line 1.'),
    }),
  })
  .meta({ id: 'ImportedFigure' });
export type ImportedRow = z.infer<typeof importedRowSchema>;

/** What a file says, before it is known by which device and from which bytes. */
export type TableRow = Omit<ImportedRow, 'device' | 'source'> & {
  readonly device: string | null;
  readonly row: number;
};

export interface ImportedTable {
  readonly rows: readonly ImportedRow[];
  /** What a person is to look at; one sentence each. */
  readonly cautions: readonly string[];
}
