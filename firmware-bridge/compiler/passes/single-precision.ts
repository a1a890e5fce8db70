import { fromHalf } from '../../../daemon/core/half.js';
import {
  type Attribute,
  type DType,
  elementCount,
  floatTensor,
  type Graph,
  type Node,
  type Tensor,
  type ValueInfo,
} from '../../../daemon/network/graph.js';
import { isTensor } from '../../../daemon/network/shape-rules/rule.js';
import type { EditableGraph } from './editable-graph.js';
import type { Shapes } from './fold-constants.js';

const otherFloats: ReadonlySet<DType> = new Set(['float16', 'bfloat16', 'float64']);

/** The same types as numbers of TensorProto.DataType, as attributes give them. */
const otherNumbers: ReadonlySet<number> = new Set([10, 11, 16]);
const typeAttributes = ['to', 'dtype', 'output_dtype'];

/**
 * A network of half, brain or double precision in float32: a board rounds its values to int8 anyway. The same graph where
 * there is nothing to change.
 */
export function inSinglePrecision(graph: Graph): Graph {
  const isOther = ({ dtype }: { readonly dtype: DType }): boolean => otherFloats.has(dtype);
  const attributeIsOther = ([name, value]: readonly [string, Attribute]): boolean =>
    (isTensor(value) && isOther(value)) ||
    (typeAttributes.includes(name) && typeof value === 'number' && otherNumbers.has(value));
  const untouched =
    ![...graph.inputs, ...graph.outputs, ...graph.initializers.values()].some(isOther) &&
    !graph.nodes.some(({ attributes }) => Object.entries(attributes).some(attributeIsOther));
  if (untouched) return graph;
  const retyped = (values: readonly ValueInfo[]): ValueInfo[] =>
    values.map((value) => (isOther(value) ? { ...value, dtype: 'float32' } : value));
  const nodes = graph.nodes.map((node): Node => {
    const entries = Object.entries(node.attributes);
    if (!entries.some(attributeIsOther)) return node;
    const single = entries.map(([name, value]): [string, Attribute] => {
      if (!attributeIsOther([name, value])) return [name, value];
      return [name, isTensor(value) ? singlePrecision(value) : 1];
    });
    return { ...node, attributes: Object.fromEntries(single) };
  });
  const initializers = new Map([...graph.initializers].map(([name, of]) => [name, singlePrecision(of)]));
  return {
    ...graph,
    inputs: retyped(graph.inputs),
    outputs: retyped(graph.outputs),
    initializers,
    nodes,
  };
}

/** Casts from one float type to another hand on what they get. */
export function dropFloatCasts(graph: EditableGraph, shapes: Shapes): void {
  for (const node of graph.nodes) {
    if (node.op !== 'Cast' && node.op !== 'CastLike') continue;
    const [from, to] = [node.inputs[0], node.outputs[0]].map((name) => shapes.get(name ?? '')?.dtype);
    if (from !== 'float32' || to !== 'float32') continue;
    graph.replace(node, { ...node, op: 'Identity', inputs: node.inputs.slice(0, 1), attributes: {} });
  }
}

function singlePrecision(tensor: Tensor): Tensor {
  if (!otherFloats.has(tensor.dtype)) return tensor;
  const { buffer } = new Uint8Array(tensor.data);
  const count = elementCount(tensor.dims);
  if (tensor.dtype === 'float64')
    return floatTensor(tensor.dims, Float32Array.from(new Float64Array(buffer, 0, count)));
  const halves = new Uint16Array(buffer, 0, count);
  if (tensor.dtype === 'float16') return floatTensor(tensor.dims, Float32Array.from(halves, fromHalf));
  // The upper half of a float32.
  const bits = Uint32Array.from(halves, (half) => half << 16);
  return floatTensor(tensor.dims, new Float32Array(bits.buffer));
}
