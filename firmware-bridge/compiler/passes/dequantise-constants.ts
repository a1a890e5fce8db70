import {
  elementCount,
  floatsOf,
  floatTensor,
  type Node,
  type Tensor,
} from '../../../daemon/network/graph.js';
import { integersOf, linearQuantisation, scaleIndex } from '../quantise/linear-quantisation.js';
import { roundEven } from '../quantise/quantisation.js';
import { unsupported } from '../unsupported.js';
import type { EditableGraph } from './editable-graph.js';
import type { Shapes } from './fold-constants.js';

const sameElements = new Set(['Identity', 'Reshape', 'Flatten', 'Squeeze', 'Unsqueeze']);

/**
 * Quantised constants become the real ones they stand for, and the graph keeps the steps they lie in: the integers that
 * a board stores are then the network's own. Float constants that pass through a pair (training for quantisation leaves
 * them so) are rounded first. Throws OPERATOR_UNSUPPORTED for types and scales that no board holds.
 */
export function dequantiseConstants(graph: EditableGraph, shapes: Shapes): void {
  for (const node of graph.nodes) {
    const constant = graph.constant(node.inputs[0]);
    if (!constant || node.domain !== '') continue;
    if (node.op === 'QuantizeLinear') round(graph, node, constant, shapes);
    else if (node.op === 'DequantizeLinear') dequantise(graph, node, constant);
    else if (constant.dtype === 'int8' || constant.dtype === 'uint8') move(graph, node, constant, shapes);
  }
}

function round(graph: EditableGraph, node: Node, constant: Tensor, shapes: Shapes): void {
  const name = node.outputs[0] as string;
  const dtype = shapes.get(name)?.dtype;
  if (constant.dtype !== 'float32') return;
  if (dtype !== 'int8' && dtype !== 'uint8')
    throw unsupported(node, `it quantises a constant to ${dtype}: int8 and uint8 can run`);
  const { scales, zeroPoints, axis } = linearQuantisation(node, constant.dims.length, (input) =>
    graph.constant(input),
  );
  const at = scaleIndex(constant.dims, axis);
  const [low, high] = dtype === 'int8' ? [-128, 127] : [0, 255];
  const whole = floatsOf(constant).map((value, i) => {
    const q = roundEven(Math.fround(value / (scales[at(i)] as number))) + (zeroPoints[at(i)] as number);
    return Math.min(high, Math.max(low, q));
  });
  const bytes = Uint8Array.from(whole, (q) => q & 0xff);
  graph.foldValue(name, { dtype, dims: constant.dims, data: bytes });
  graph.remove([node]);
}

function dequantise(graph: EditableGraph, node: Node, constant: Tensor): void {
  const name = node.outputs[0] as string;
  const whole = integersOf(constant);
  if (!whole)
    throw unsupported(
      node,
      `its constant ${node.inputs[0]} has the type ${constant.dtype}: int8 and uint8 can run, and int32 for a bias`,
    );
  const { scales, zeroPoints, axis } = linearQuantisation(node, constant.dims.length, (input) =>
    graph.constant(input),
  );
  if (axis !== undefined && constant.dims[axis] !== scales.length)
    throw unsupported(node, `it has ${scales.length} scales for [${constant.dims}] along axis ${axis}`);
  const at = scaleIndex(constant.dims, axis);
  const real = Float32Array.from(
    whole,
    (q, i) => (q - (zeroPoints[at(i)] as number)) * (scales[at(i)] as number),
  );
  graph.foldValue(name, floatTensor(constant.dims, real));
  const shift = constant.dtype === 'uint8' ? 128 : 0;
  if (constant.dtype !== 'int32')
    graph.grids.set(name, { scales, axis, zeroPoint: (zeroPoints[0] as number) - shift });
  graph.remove([node]);
}

/** Layout changes of constants that are still integers. */
function move(graph: EditableGraph, node: Node, constant: Tensor, shapes: Shapes): void {
  const name = node.outputs[0] as string;
  const shape = shapes.get(name);
  if (!shape || node.outputs.length > 1) return;
  if (sameElements.has(node.op)) graph.foldValue(name, { ...constant, dims: shape.dims });
  else if (node.op === 'Transpose') graph.foldValue(name, transposed(node, constant));
  else return;
  graph.remove([node]);
}

function transposed(node: Node, { dtype, dims, data }: Tensor): Tensor {
  const given = node.attributes.perm as readonly number[] | undefined;
  const perm = given ?? dims.map((_, axis) => dims.length - 1 - axis);
  const to = perm.map((axis) => dims[axis] as number);
  const strides = perm.map((axis) => elementCount(dims.slice(axis + 1)));
  const moved = Uint8Array.from({ length: data.length }, (_, i) => {
    let [rest, at] = [i, 0];
    for (let axis = to.length - 1; axis >= 0; axis--) {
      at += (rest % (to[axis] as number)) * (strides[axis] as number);
      rest = Math.floor(rest / (to[axis] as number));
    }
    return data[at] as number;
  });
  return { dtype, dims: to, data: moved };
}
