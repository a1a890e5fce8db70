import onnxProto from 'onnx-proto';
import { HildaError } from '../core/errors.js';
import { sha256Hex } from '../core/hash.js';
import { type Attribute, type Graph, type Node, origin, type ValueInfo } from './graph.js';
import { inlineExternalData } from './inline-external-data.js';
import { functionsField, inlineFunctions, readFunctions } from './inline-functions.js';
import { keepSource } from './model-source.js';
import { invalid, whole } from './onnx-numbers.js';
import { fieldsOf } from './protobuf-fields.js';
import { type ExternalFiles, readDtype, readSparseTensor, readTensor } from './read-tensor.js';
import { isGraph } from './shape-rules/rule.js';
import { checkWireSize } from './wire-size.js';

const { onnx } = onnxProto;
const { AttributeType } = onnx.AttributeProto;
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const sha256Of = (message: { finish(): Uint8Array }): string => sha256Hex(message.finish());

export interface ReadOptions {
  /** The files beside the model, for constants that lie in them. */
  readonly external?: ExternalFiles;
}

/**
 * Decodes an ONNX file. Shapes are not needed, unknown operators are kept; `writeOnnx` gives back all that was read.
 * Throws ONNX_INVALID, EXTERNAL_DATA_MISSING or, before it decodes anything, NETWORK_TOO_LARGE; never anything else.
 */
export function readOnnx(bytes: Uint8Array, options: ReadOptions = {}): Graph {
  checkWireSize(bytes);
  let model: onnxProto.onnx.ModelProto;
  try {
    model = onnx.ModelProto.decode(bytes);
  } catch (cause) {
    throw invalid('the bytes are no protobuf of a model', cause);
  }
  try {
    const graph = readModel(model, bytes, options.external);
    const inlined = options.external && inlineExternalData(model, options.external);
    keepSource(graph, inlined ?? bytes);
    return graph;
  } catch (error) {
    if (error instanceof HildaError) throw error;
    throw invalid('its contents contradict themselves', error);
  }
}

/** What the parts of one model share. */
interface Reading {
  readonly opset: number;
  readonly irVersion: number;
  readonly external: ExternalFiles | undefined;
}

function readModel(model: onnxProto.onnx.ModelProto, bytes: Uint8Array, external?: ExternalFiles): Graph {
  if (!model.graph) throw invalid('it holds no graph');
  const isDefault = (domain?: string | null): boolean => !domain || domain === 'ai.onnx';
  const versions = model.opsetImport.map(({ domain, version }) => [domain ?? '', whole(version)] as const);
  const own = versions.filter(([domain]) => isDefault(domain));
  const others = new Map(versions.filter(([domain]) => !isDefault(domain)));
  if (versions.length === 0) throw invalid('it names no operator set');
  const opset = own[0]?.[1] ?? 0;
  if (own.some(([, version]) => version !== opset))
    throw invalid('it names two versions of one operator set');
  const irVersion = whole(model.irVersion);
  const messages = model.functions.length > 0 ? messagesOf(bytes, functionsField) : [];
  const functions = readFunctions(messages, new Map([...others, ['', opset]]));
  const inlined = inlineFunctions(model.graph, functions);
  const graph: Graph = {
    ...readGraph(inlined, { opset, irVersion, external }),
    ...(others.size > 0 && { domains: others }),
    ...(irVersion > 0 && { irVersion }),
    // Kept for calls that could not be spelt out.
    ...(functions.size < messages.length && {
      functions: sha256Hex(messages.map(sha256Hex).join()),
      [origin]: messages,
    }),
  };
  checkOrder(graph);
  return graph;
}

const messagesOf = (bytes: Uint8Array, field: number): Uint8Array[] =>
  [...fieldsOf(bytes)].flatMap(({ number, bytes }) => (number === field && bytes ? [bytes] : []));

function readGraph(proto: onnxProto.onnx.IGraphProto, reading: Reading): Graph {
  const initializers = new Map(
    (proto.initializer ?? []).map((tensor) => [tensor.name ?? '', readTensor(tensor, reading.external)]),
  );
  for (const sparse of proto.sparseInitializer ?? []) {
    const { name, tensor } = readSparseTensor(sparse, reading.external);
    initializers.set(name, tensor);
  }
  if (initializers.size < (proto.initializer?.length ?? 0) + (proto.sparseInitializer?.length ?? 0))
    throw invalid('two of its constants have one name');
  const inputs = (proto.input ?? []).map((value) => readValue(value, true));
  // Before IR version 4 every constant had to be an input too, and none could be replaced.
  const overridable = reading.irVersion >= 4 ? inputs.filter(({ name }) => initializers.has(name)) : [];
  return {
    name: proto.name ?? '',
    opset: reading.opset,
    inputs: inputs.filter(({ name }) => !initializers.has(name)),
    outputs: (proto.output ?? []).map((value) => readValue(value, false)),
    initializers,
    ...(overridable.length > 0 && { overridable }),
    nodes: (proto.node ?? []).map((node) => readNode(node, reading)),
  };
}

function readNode(proto: onnxProto.onnx.INodeProto, reading: Reading): Node {
  if (!proto.opType) throw invalid(`the node ${proto.name || proto.output?.[0] || '?'} names no operator`);
  const read = (proto.attribute ?? []).map(
    (attribute) => [attribute.name ?? '', readAttribute(attribute, reading), attribute] as const,
  );
  const attributes = Object.fromEntries(read);
  if (Object.keys(attributes).length < read.length)
    throw invalid(`the node ${proto.name || proto.output?.[0]} has two attributes of one name`);
  return {
    name: proto.name ?? '',
    op: proto.opType,
    domain: proto.domain === 'ai.onnx' ? '' : (proto.domain ?? ''),
    inputs: proto.input ?? [],
    outputs: proto.output ?? [],
    attributes,
    [origin]: new Map(read.map(([name, value, attribute]) => [name, { value, proto: attribute }])),
  };
}

function readAttribute(proto: onnxProto.onnx.IAttributeProto, reading: Reading): Attribute {
  const opaque = (number: number): Attribute => ({
    opaque: number,
    sha256: sha256Of(onnx.AttributeProto.encode(proto)),
  });
  if (proto.refAttrName) return opaque(0);
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
      if (proto.t) return readTensor(proto.t, reading.external);
      break;
    case AttributeType.GRAPH:
      if (proto.g) return readGraph(proto.g, reading);
      break;
    case AttributeType.SPARSE_TENSOR:
    case AttributeType.SPARSE_TENSORS:
    case AttributeType.TYPE_PROTO:
    case AttributeType.TYPE_PROTOS:
    case AttributeType.TENSORS:
    case AttributeType.GRAPHS:
      return opaque(proto.type);
  }
  throw invalid(`the attribute ${proto.name ?? '?'} has the type ${proto.type ?? 'none'} and no such value`);
}

function readValue(proto: onnxProto.onnx.IValueInfoProto, isInput: boolean): ValueInfo {
  const name = proto.name ?? '';
  const { type } = proto;
  const tensor = type?.tensorType;
  const container = type?.sequenceType
    ? 'sequence'
    : type?.optionalType
      ? 'optional'
      : type?.mapType
        ? 'map'
        : type?.sparseTensorType
          ? 'sparse'
          : undefined;
  const dims = (tensor?.shape?.dim ?? []).map((dim) => {
    if (dim.dimParam) return dim.dimParam;
    if (dim.dimValue === null || dim.dimValue === undefined) return null;
    const size = whole(dim.dimValue);
    // Some exporters write 0 or -1 for an open dimension. An input of no elements would measure nothing.
    return size > 0 || (size === 0 && !isInput) ? size : null;
  });
  const dtype = tensor ? readDtype(tensor.elemType, name) : 'float32';
  // What the plain form does not tell apart is kept as it was read.
  const isPlain = tensor?.shape && dims.every((size) => size !== null && size !== 0);
  return {
    name,
    dtype,
    dims,
    ...(!tensor?.shape && { unranked: true as const }),
    ...(container && { container }),
    ...(!isPlain && { [origin]: { dtype, dims, proto } }),
  };
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
    const label = node.name || node.outputs[0] || '?';
    const missing = node.inputs.find((name) => !defined.has(name));
    if (missing !== undefined)
      throw invalid(`node ${label} (${node.op}) reads ${missing}, which nothing before it defines`);
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
