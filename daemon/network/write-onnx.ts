import onnxProto from 'onnx-proto';
import {
  type Attribute,
  type DType,
  dtypeByNumber,
  type Graph,
  type Node,
  type Tensor,
  type ValueInfo,
} from './graph.js';
import { isGraph, isTensor } from './shape-rules/rule.js';

const { onnx } = onnxProto;
const { AttributeType } = onnx.AttributeProto;

const numberByDtype = Object.fromEntries(
  Object.entries(dtypeByNumber).map(([number, dtype]) => [dtype, Number(number)]),
) as Record<DType, number>;

/** The graph as the bytes of an ONNX file: IR version 8, constants as raw data. */
export function writeOnnx(graph: Graph): Uint8Array {
  const domains = new Set(
    graph.nodes.map((node) => node.domain).filter((domain) => domain !== '' && domain !== 'ai.onnx'),
  );
  const bytes = onnx.ModelProto.encode({
    irVersion: 8,
    producerName: 'hilda',
    opsetImport: [
      { domain: '', version: graph.opset },
      ...[...domains].map((domain) => ({ domain, version: 1 })),
    ],
    graph: graphProto(graph),
  }).finish();
  // protobufjs answers with a Buffer under Node, whose slice() does not copy: hand out a plain array.
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function graphProto(graph: Graph): onnxProto.onnx.IGraphProto {
  return {
    name: graph.name,
    input: graph.inputs.map(valueProto),
    output: graph.outputs.map(valueProto),
    initializer: [...graph.initializers].map(([name, tensor]) => ({ ...tensorProto(tensor), name })),
    node: graph.nodes.map(nodeProto),
  };
}

function nodeProto({ name, op, domain, inputs, outputs, attributes }: Node): onnxProto.onnx.INodeProto {
  return {
    name,
    opType: op,
    domain,
    input: [...inputs],
    output: [...outputs],
    attribute: Object.entries(attributes).map(([key, value]) => ({
      name: key,
      ...attributeProto(key, value),
    })),
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
  'seed',
  'threshold',
  'mask_filter_value',
  'softcap',
]);

function attributeProto(name: string, value: Attribute): onnxProto.onnx.IAttributeProto {
  const asFloat = floatAttributes.has(name);
  if (typeof value === 'number')
    return asFloat || !Number.isInteger(value)
      ? { type: AttributeType.FLOAT, f: value }
      : { type: AttributeType.INT, i: value };
  if (typeof value === 'string') return { type: AttributeType.STRING, s: new TextEncoder().encode(value) };
  if (isTensor(value)) return { type: AttributeType.TENSOR, t: tensorProto(value) };
  if (isGraph(value)) return { type: AttributeType.GRAPH, g: graphProto(value) };
  const list = value as readonly (number | string)[];
  if (list.length > 0 && list.every((item) => typeof item === 'string'))
    return { type: AttributeType.STRINGS, strings: list.map((item) => new TextEncoder().encode(item)) };
  const numbers = list as number[];
  return asFloat || !numbers.every(Number.isInteger)
    ? { type: AttributeType.FLOATS, floats: numbers }
    : { type: AttributeType.INTS, ints: numbers };
}

const tensorProto = ({ dtype, dims, data }: Tensor): onnxProto.onnx.ITensorProto => ({
  dataType: numberByDtype[dtype],
  dims: [...dims],
  rawData: data,
});

const valueProto = ({ name, dtype, dims }: ValueInfo): onnxProto.onnx.IValueInfoProto => ({
  name,
  type: {
    tensorType: {
      elemType: numberByDtype[dtype],
      shape: {
        dim: dims.map((dim) =>
          typeof dim === 'number' ? { dimValue: dim } : dim === null ? {} : { dimParam: dim },
        ),
      },
    },
  },
});
