import type { NumericType } from '../data/elements.js';
import type { LabelledData, openLabelled } from '../data/labelled/open-labelled.js';
import type { LabelledSpec } from '../data/labelled/spec.js';
import type { Tensor } from '../network/graph.js';
import type { TableFormat } from '../predict/tables/format-names.js';
import type { NamedTable } from '../predict/tables/table-formats.js';
import type { CalibrationData, InputShape } from '../runtime/calibration-data.js';
import type { ImportedTable } from './benchmark-tables/imported-row.js';

/** What the networks of a space take. */
export type DataExpected = Parameters<typeof openLabelled>[1];

export interface TableText {
  readonly name: string;
  readonly text: string;
}

/** Decodes files that other people made: in a child where a daemon reads them, at once in a process that does nothing else. */
export interface DataReading {
  /** A person's images, sounds or arrays. Throws NOT_FOUND, DATA_INVALID. */
  labelled(spec: LabelledSpec, expected: DataExpected): Promise<LabelledData>;
  /** A JSON file. Throws DATA_INVALID. */
  json(file: string): Promise<unknown>;
  /** Latency tables, one a file. Throws TABLE_INVALID. */
  tables(files: readonly TableText[], format: TableFormat): Promise<readonly NamedTable[]>;
  /** Published figures, as `readFigures`. Throws TABLE_INVALID. */
  figures(files: readonly TableText[], device: string | null): Promise<ImportedTable>;
  /** As `readExamples`. */
  examples(bytes: Uint8Array, inputs: readonly InputShape[]): Promise<CalibrationData>;
  /** As `readTensor`. */
  tensor(bytes: Uint8Array, dtype: NumericType, name: string): Promise<Tensor>;
}
