import type { NumericType } from '../data/elements.js';
import type { LabelledData } from '../data/labelled/open-labelled.js';
import type { LabelledSpec } from '../data/labelled/spec.js';
import type { Graph } from '../network/graph.js';
import type { TableFormat } from '../predict/tables/format-names.js';
import type { NamedTable } from '../predict/tables/table-formats.js';
import type { InputShape } from '../runtime/calibration-data.js';
import type { ImportedTable } from './benchmark-tables/imported-row.js';
import type { DataExpected, TableText } from './contract.js';

/** A file's content, or the path of a copy: large ones take a second and more to hand over. */
export type Given = Uint8Array | string;

/** What the reader's child is asked. */
export type ReadRequest =
  | {
      readonly op: 'model';
      readonly model: Given;
    }
  | {
      readonly op: 'labelled';
      readonly spec: LabelledSpec;
      readonly expected: DataExpected;
      /** A folder for what is too large for a message. */
      readonly folder: string;
    }
  | {
      readonly op: 'examples';
      readonly piece: Given;
      readonly inputs: readonly InputShape[];
      readonly folder: string;
    }
  | {
      readonly op: 'tensor';
      readonly array: Given;
      readonly dtype: NumericType;
      readonly name: string;
      readonly folder: string;
    }
  | { readonly op: 'json'; readonly file: string }
  | { readonly op: 'tables'; readonly files: readonly TableText[]; readonly format: TableFormat }
  | { readonly op: 'figures'; readonly files: readonly TableText[]; readonly device: string | null };

/** The bytes that a graph was read from: those that were given, or others. */
export type SourceBytes = 'given' | Uint8Array;

export interface ReadModel {
  /** As `packGraph` makes it. */
  readonly graph: Graph;
  /** The ONNX file that the graph is; left out where there is none. */
  readonly source?: SourceBytes;
  /** The TensorFlow Lite file that it was converted from. */
  readonly tflite?: SourceBytes;
}

/** A data set whose pixels lie in files, a part a file. */
export type HandedData = Pick<LabelledData, 'record'> & {
  readonly [P in 'train' | 'calibration' | 'validation']: Omit<LabelledData[P], 'pixels'> & {
    readonly file: string;
  };
};

export interface ReadingConversation {
  readonly request: ReadRequest;
  readonly answers: {
    readonly model: ReadModel;
    readonly labelled: HandedData;
    /** Of each input, the elements of all examples. */
    readonly examples: { readonly count: number; readonly files: readonly string[] };
    readonly tensor: { readonly dims: readonly number[]; readonly file: string };
    readonly json: unknown;
    readonly tables: readonly NamedTable[];
    readonly figures: ImportedTable;
  };
}
