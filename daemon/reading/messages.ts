import type { Graph } from '../network/graph.js';

/** Asks the reader for a model's graph. */
export interface ReadRequest {
  readonly op: 'model';
  /** Its content, or the path of a file that holds it: large ones take a second and more to hand over. */
  readonly model: Uint8Array | string;
}

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

export interface ReadingConversation {
  readonly request: ReadRequest;
  readonly answers: { readonly model: ReadModel };
}
