import type { Graph } from './graph.js';
import { writeOnnx } from './write-onnx.js';

/** By graph object: a graph derived from another has no source of its own. */
const sources = new WeakMap<Graph, Uint8Array>();
/** TensorFlow Lite files that graphs were converted from; no runtime of ONNX loads them. */
const converted = new WeakMap<Graph, Uint8Array>();

/** Remembers the file that a graph was read from. */
export const keepSource = (graph: Graph, bytes: Uint8Array): void => {
  sources.set(graph, bytes);
};

/** Says that `graph` is the same network as `from`, with some of its open dimensions fixed. */
export function shareSource(graph: Graph, from: Graph): Graph {
  const bytes = sources.get(from);
  if (bytes) sources.set(graph, bytes);
  const file = converted.get(from);
  if (file) converted.set(graph, file);
  return graph;
}

/** The file that a graph was read from, where the graph is still what the file says. */
export const sourceOf = (graph: Graph): Uint8Array | undefined => sources.get(graph);

/** The bytes a runtime loads: the user's own where the graph is exactly what was read, else the graph written anew. */
export const modelBytes = (graph: Graph): Uint8Array => sources.get(graph) ?? writeOnnx(graph);

/** Remembers the TensorFlow Lite file that a graph is the conversion of. */
export function keepTflite(graph: Graph, bytes: Uint8Array): Graph {
  converted.set(graph, bytes);
  return graph;
}

/** The TensorFlow Lite file that a graph was converted from, where the graph is still what the file says. */
export const tfliteOf = (graph: Graph): Uint8Array | undefined => converted.get(graph);
