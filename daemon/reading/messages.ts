import type { LabelledData } from '../data/labelled/open-labelled.js';
import type { LabelledSpec } from '../data/labelled/spec.js';
import type { Graph } from '../network/graph.js';
import type { TableFormat } from '../predict/tables/format-names.js';
import type { NamedTable } from '../predict/tables/table-formats.js';
import type { DataExpected, TableText } from './contract.js';

/** What the reader's child is asked. */
export type ReadRequest =
  | {
      readonly op: 'model';
      /** Its content, or the path of a file that holds it: large ones take a second and more to hand over. */
      readonly model: Uint8Array | string;
    }
  | {
      readonly op: 'labelled';
      readonly spec: LabelledSpec;
      readonly expected: DataExpected;
      /** A folder for what is too large for a message. */
      readonly folder: string;
    }
  | { readonly op: 'json'; readonly file: string }
  | { readonly op: 'tables'; readonly files: readonly TableText[]; readonly format: TableFormat };

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
    readonly json: unknown;
    readonly tables: readonly NamedTable[];
  };
}
