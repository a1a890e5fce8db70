import onnxProto from 'onnx-proto';
import {
  type Attribute,
  type DType,
  dtypeByNumber,
  type Graph,
  type Node,
  origin,
  type Tensor,
  type ValueInfo,
} from './graph.js';
import { functionsField } from './inline-functions.js';
import { lengthDelimited } from './protobuf-fields.js';
import { isGraph, isTensor } from './shape-rules/rule.js';

const { onnx } = onnxProto;
const { AttributeType } = onnx.AttributeProto;

const numberByDtype = new Map([...dtypeByNumber].map(([number, dtype]): [DType, number] => [dtype, number]));

/** What `readOnnx` leaves in a graph, a node and a value. */
type GraphOrigin = readonly Uint8Array[] | undefined;
type NodeOrigin =
  | ReadonlyMap<string, { readonly value: Attribute; readonly proto: onnxProto.onnx.IAttributeProto }>
  | undefined;
type ValueOrigin =
  | {
      readonly dtype: DType;
      readonly dims: ValueInfo['dims'];
      readonly proto: onnxProto.onnx.IValueInfoProto;
    }
  | undefined;

/**
 * The graph as the bytes of an ONNX file, constants as raw data. What was read from a file and is unchanged is written as it
 * stood there: attribute types, values without a shape, operator sets, functions. IR version 8 where none was read.
 */
export function writeOnnx(graph: Graph): Uint8Array {
  const domains = new Map(graph.domains);
  for (const { domain } of graph.nodes)
    if (domain !== '' && domain !== 'ai.onnx' && !domains.has(domain)) domains.set(domain, 1);
  const bytes = onnx.ModelProto.encode({
    // Before version 4 constants are inputs too, which those written here are not.
    irVersion: Math.max(8, graph.irVersion ?? 8),
    producerName: 'hilda',
    opsetImport: [
      ...(graph.opset > 0 ? [{ domain: '', version: graph.opset }] : []),
      ...[...domains].map(([domain, version]) => ({ domain, version })),
    ],
    graph: graphProto(graph),
  }).finish();
  // protobufjs answers with a Buffer under Node, whose slice() does not copy: hand out a plain array.
  const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const functions = lengthDelimited(functionsField, (graph[origin] as GraphOrigin) ?? []);
  if (functions.length === 0) return plain;
  const whole = new Uint8Array(plain.length + functions.length);
  whole.set(plain);
  whole.set(functions, plain.length);
  return whole;
}

function graphProto(graph: Graph): onnxProto.onnx.IGraphProto {
  const overridable = (graph.overridable ?? []).filter(({ name }) => graph.initializers.has(name));
  return {
    name: graph.name,
    input: [...graph.inputs, ...overridable].map(valueProto),
    output: graph.outputs.map(valueProto),
    initializer: [...graph.initializers].map(([name, tensor]) => ({ ...tensorProto(tensor), name })),
    node: graph.nodes.map(nodeProto),
  };
}

function nodeProto(node: Node): onnxProto.onnx.INodeProto {
  const { name, op, domain, inputs, outputs, attributes } = node;
  const read = node[origin] as NodeOrigin;
  return {
    name,
    opType: op,
    domain,
    input: [...inputs],
    output: [...outputs],
    attribute: Object.entries(attributes).map(([key, value]) => {
      const known = read?.get(key);
      return known?.value === value ? known.proto : { name: key, ...attributeProto(op, key, value) };
    }),
  };
}

/** Attributes that ONNX declares as floats; a whole number would otherwise be written as an int. */
const floatAttributes = new Set([
  'alpha',
  'beta',
  'epsilon',
  'momentum',
  'gamma',
  'lambd',
  'bias',
  'value_float',
  'value_floats',
  'cubic_coeff_a',
  'extrapolation_value',
  'spatial_scale',
  'min',
  'max',
  'value',
  'scale',
  'scales',
  'ratio',
  'mean',
  'high',
  'low',
  'clip',
  'seed',
  'threshold',
  'mask_filter_value',
  'softcap',
  'activation_alpha',
  'activation_beta',
]);

function attributeProto(op: string, name: string, value: Attribute): onnxProto.onnx.IAttributeProto {
  // The one name that is a float with some operators (RandomNormal) and an integer with another.
  const asFloat = floatAttributes.has(name) && !(op === 'Dropout' && name === 'seed');
  if (typeof value === 'number')
    return asFloat || !Number.isInteger(value)
      ? { type: AttributeType.FLOAT, f: value }
      : { type: AttributeType.INT, i: value };
  if (typeof value === 'string') return { type: AttributeType.STRING, s: new TextEncoder().encode(value) };
  if (isTensor(value)) return { type: AttributeType.TENSOR, t: tensorProto(value) };
  if (isGraph(value)) return { type: AttributeType.GRAPH, g: graphProto(value) };
  if ('opaque' in (value as object))
    throw new TypeError(`the attribute ${name} of ${op} was taken from the node that it was read with`);
  const list = value as readonly (number | string)[];
  if (list.length > 0 && list.every((item) => typeof item === 'string'))
    return { type: AttributeType.STRINGS, strings: list.map((item) => new TextEncoder().encode(item)) };
  const numbers = list as number[];
  return asFloat || !numbers.every(Number.isInteger)
    ? { type: AttributeType.FLOATS, floats: numbers }
    : { type: AttributeType.INTS, ints: numbers };
}

const tensorProto = ({ dtype, dims, data, strings }: Tensor): onnxProto.onnx.ITensorProto => ({
  dataType: numberByDtype.get(dtype) as number,
  dims: [...dims],
  ...(strings ? { stringData: [...strings] } : { rawData: data }),
});

function valueProto(value: ValueInfo): onnxProto.onnx.IValueInfoProto {
  const { name, dtype, dims } = value;
  const read = value[origin] as ValueOrigin;
  if (read && read.dtype === dtype && read.dims === dims) return { ...read.proto, name };
  return {
    name,
    type: {
      tensorType: {
        elemType: numberByDtype.get(dtype) as number,
        ...(!value.unranked && {
          shape: {
            dim: dims.map((dim) =>
              typeof dim === 'number' ? { dimValue: dim } : dim === null ? {} : { dimParam: dim },
            ),
          },
        }),
      },
    },
  };
}
