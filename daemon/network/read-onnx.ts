import onnxProto from 'onnx-proto';
import { HildaError } from '../core/errors.js';
import {
  type Attribute,
  bytesPerElement,
  type DType,
  dtypeByNumber,
  elementCount,
  type Graph,
  type Node,
  type Tensor,
  type ValueInfo,
} from './graph.js';
import { isGraph } from './shape-rules/rule.js';

const { onnx } = onnxProto;
const { AttributeType } = onnx.AttributeProto;
type Long = number | { toNumber(): number } | null | undefined;

const invalid = (why: string, cause?: unknown): HildaError =>
  new HildaError('ONNX_INVALID', `not a usable ONNX model: ${why}`, { cause });
/** Clamped to the integers a double holds: exporters write INT64_MAX for "to the end", which would wrap when written. */
const whole = (value: Long): number => {
  const number = typeof value === 'number' ? value : (value?.toNumber() ?? 0);
  return Math.min(Math.max(number, Number.MIN_SAFE_INTEGER), Number.MAX_SAFE_INTEGER);
};
const big = (value: Long): bigint => BigInt(String(value ?? 0));
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** Decodes an ONNX file. Shapes are not needed, unknown operators are kept. Throws ONNX_INVALID, never anything else. */
export function readOnnx(bytes: Uint8Array): Graph {
  let model: onnxProto.onnx.ModelProto;
  try {
    model = onnx.ModelProto.decode(bytes);
  } catch (cause) {
    throw invalid('the bytes are no protobuf of a model', cause);
  }
  try {
    return readModel(model);
  } catch (error) {
    if (error instanceof HildaError) throw error;
    throw invalid('its contents contradict themselves', error);
  }
}

function readModel(model: onnxProto.onnx.ModelProto): Graph {
  const opset = model.opsetImport.find(({ domain }) => !domain || domain === 'ai.onnx');
  if (!model.graph) throw invalid('it holds no graph');
  if (!opset) throw invalid('it names no operator set');
  const graph = readGraph(model.graph, whole(opset.version));
  checkOrder(graph);
  return graph;
}

function readGraph(proto: onnxProto.onnx.IGraphProto, opset: number): Graph {
  const initializers = new Map(
    (proto.initializer ?? []).map((tensor) => [tensor.name ?? '', readTensor(tensor)]),
  );
  return {
    name: proto.name ?? '',
    opset,
    // Old files list their constants among the inputs too.
    inputs: (proto.input ?? []).map(readValue).filter((value) => !initializers.has(value.name)),
    outputs: (proto.output ?? []).map(readValue),
    initializers,
    nodes: (proto.node ?? []).map((node) => readNode(node, opset)),
  };
}

function readNode(proto: onnxProto.onnx.INodeProto, opset: number): Node {
  if (!proto.opType) throw invalid(`the node ${proto.name ?? '?'} names no operator`);
  return {
    name: proto.name ?? '',
    op: proto.opType,
    domain: proto.domain ?? '',
    inputs: proto.input ?? [],
    outputs: proto.output ?? [],
    attributes: Object.fromEntries(
      (proto.attribute ?? []).map((attribute) => [attribute.name ?? '', readAttribute(attribute, opset)]),
    ),
  };
}

function readAttribute(proto: onnxProto.onnx.IAttributeProto, opset: number): Attribute {
  switch (proto.type) {
    case AttributeType.FLOAT:
      return proto.f ?? 0;
    case AttributeType.INT:
      return whole(proto.i);
    case AttributeType.STRING:
      return text(proto.s ?? new Uint8Array());
    case AttributeType.FLOATS:
      return [...(proto.floats ?? [])];
    case AttributeType.INTS:
      return (proto.ints ?? []).map(whole);
    case AttributeType.STRINGS:
      return (proto.strings ?? []).map(text);
    case AttributeType.TENSOR:
      if (proto.t) return readTensor(proto.t);
      break;
    case AttributeType.GRAPH:
      if (proto.g) return readGraph(proto.g, opset);
      break;
  }
  throw invalid(`the attribute ${proto.name ?? '?'} has a type that is not supported`);
}

function readValue(proto: onnxProto.onnx.IValueInfoProto): ValueInfo {
  const type = proto.type?.tensorType;
  const dims = (type?.shape?.dim ?? []).map((dim) => {
    if (dim.dimParam) return dim.dimParam;
    const size = whole(dim.dimValue);
    return size > 0 ? size : null;
  });
  return {
    name: proto.name ?? '',
    dtype: type ? readDtype(type.elemType, proto.name ?? '') : 'float32',
    dims,
  };
}

function readDtype(number: number | null | undefined, name: string): DType {
  // An output without a type is legal; its type follows from the nodes.
  if (!number) return 'float32';
  const dtype = dtypeByNumber[number];
  if (!dtype) throw invalid(`${name} has the element type ${number}, which is not supported`);
  return dtype;
}

function readTensor(proto: onnxProto.onnx.ITensorProto): Tensor {
  const name = proto.name ?? '?';
  if (proto.dataLocation || proto.externalData?.length)
    throw invalid(`the constant ${name} lies in another file`);
  const dtype = readDtype(proto.dataType, name);
  const dims = (proto.dims ?? []).map(whole);
  if (dims.some((dim) => dim < 0)) throw invalid(`the constant ${name} has a negative size`);
  const data = proto.rawData?.length ? new Uint8Array(proto.rawData) : typedData(proto, dtype);
  if (data.byteLength !== elementCount(dims) * bytesPerElement[dtype]) {
    throw invalid(
      `the constant ${name} holds ${data.byteLength} bytes, its shape [${dims}] of ${dtype} needs ${elementCount(dims) * bytesPerElement[dtype]}`,
    );
  }
  return { dtype, dims, data };
}

/** The typed fields of TensorProto: small types travel widened in int32_data (onnx.proto3, TensorProto). */
function typedData(proto: onnxProto.onnx.ITensorProto, dtype: DType): Uint8Array {
  const ints = proto.int32Data ?? [];
  const bytes = (array: { buffer: ArrayBufferLike }): Uint8Array => new Uint8Array(array.buffer);
  switch (dtype) {
    case 'float32':
      return bytes(Float32Array.from(proto.floatData ?? []));
    case 'float64':
      return bytes(Float64Array.from(proto.doubleData ?? []));
    case 'int64':
      return bytes(BigInt64Array.from((proto.int64Data ?? []).map(big)));
    case 'uint64':
      return bytes(BigUint64Array.from((proto.uint64Data ?? []).map(big)));
    case 'uint32':
      return bytes(Uint32Array.from((proto.uint64Data ?? []).map(whole)));
    case 'int32':
      return bytes(Int32Array.from(ints));
    case 'int16':
      return bytes(Int16Array.from(ints));
    case 'uint16':
    case 'float16':
      return bytes(Uint16Array.from(ints));
    case 'int8':
      return bytes(Int8Array.from(ints));
    case 'uint8':
    case 'bool':
      return bytes(Uint8Array.from(ints));
  }
}

/** Each value defined once and before its use, as ONNX demands: no cycles follow. */
function checkOrder(graph: Graph, outer: ReadonlySet<string> = new Set()): void {
  const defined = new Set([
    ...outer,
    '',
    ...graph.inputs.map((input) => input.name),
    ...graph.initializers.keys(),
  ]);
  for (const node of graph.nodes) {
    const missing = node.inputs.find((name) => !defined.has(name));
    if (missing !== undefined)
      throw invalid(`node ${node.name || node.op} reads ${missing}, which nothing before it defines`);
    // The graphs inside If and Loop see what stands before them.
    for (const value of Object.values(node.attributes)) if (isGraph(value)) checkOrder(value, defined);
    for (const name of node.outputs) {
      if (name !== '' && defined.has(name)) throw invalid(`the value ${name} is defined twice`);
      defined.add(name);
    }
  }
  const missing = graph.outputs.find((output) => !defined.has(output.name));
  if (missing) throw invalid(`the output ${missing.name} is never computed`);
  if (graph.outputs.length === 0) throw invalid('it has no output');
}
