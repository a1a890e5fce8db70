import onnxProto from 'onnx-proto';
import { byteCount } from './graph.js';
import { whole } from './onnx-numbers.js';
import { type ExternalFiles, readDtype, readTensor } from './read-tensor.js';
import { checkWireSize } from './wire-size.js';

const { onnx } = onnxProto;
type TensorProto = onnxProto.onnx.ITensorProto;
type GraphProto = onnxProto.onnx.IGraphProto;

/** Every constant of a graph that may lie in another file, those of inner graphs too. */
function* tensorsOf(graph: GraphProto): Generator<TensorProto> {
  yield* graph.initializer ?? [];
  for (const { values, indices } of graph.sparseInitializer ?? []) {
    if (values) yield values;
    if (indices) yield indices;
  }
  for (const node of graph.node ?? [])
    for (const attribute of node.attribute ?? []) {
      if (attribute.t) yield attribute.t;
      yield* attribute.tensors ?? [];
      if (attribute.g) yield* tensorsOf(attribute.g);
      for (const inner of attribute.graphs ?? []) yield* tensorsOf(inner);
    }
}

export interface ExternalConstants {
  /** Files beside the model, each once, as the model names them: unchecked. */
  readonly locations: readonly string[];
  /** What all the constants in them take. Constants may share a file's bytes, so it may be more than the files hold. */
  readonly bytes: number;
}

/** What a model keeps in other files; nothing for bytes that are no model. */
export function externalConstants(bytes: Uint8Array): ExternalConstants {
  const locations = new Set<string>();
  let total = 0;
  try {
    checkWireSize(bytes);
    const { graph } = onnx.ModelProto.decode(bytes);
    for (const proto of tensorsOf(graph ?? {})) {
      if (!proto.dataLocation && !proto.externalData?.length) continue;
      total += byteCount(readDtype(proto.dataType, proto.name ?? ''), (proto.dims ?? []).map(whole));
      for (const { key, value } of proto.externalData ?? [])
        if (key === 'location') locations.add(value ?? '');
    }
  } catch {
    // Reading the model says what is wrong with it.
  }
  return { locations: [...locations], bytes: total };
}

/** The model in one file, everything else as it is; undefined where nothing lies outside it. */
export function inlineExternalData(
  model: onnxProto.onnx.ModelProto,
  external: ExternalFiles,
): Uint8Array | undefined {
  let moved = 0;
  for (const proto of tensorsOf(model.graph ?? {})) {
    if (!proto.dataLocation && !proto.externalData?.length) continue;
    proto.rawData = readTensor(proto, external).data;
    proto.externalData = [];
    proto.dataLocation = onnx.TensorProto.DataLocation.DEFAULT;
    moved++;
  }
  if (moved === 0) return undefined;
  const bytes = onnx.ModelProto.encode(model).finish();
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
