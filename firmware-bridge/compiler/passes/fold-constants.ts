import { elementCount, floatTensor, int64Tensor, type Node } from '../../../daemon/network/graph.js';
import type { ShapeTable } from '../../../daemon/network/infer-shapes.js';
import { isTensor } from '../../../daemon/network/shape-rules/rule.js';
import { reshapedGrid, transposedGrid } from '../quantise/constant-grid.js';
import { broadcastIndex } from './broadcast.js';
import type { EditableGraph } from './editable-graph.js';

/** Shapes and short constants by value, as `ShapeTable.entries` gives them. */
export type Shapes = ReturnType<ShapeTable['entries']>;

const unary: Readonly<Record<string, (x: number) => number>> = {
  Sqrt: Math.sqrt,
  Reciprocal: (x) => 1 / x,
  Neg: (x) => -x,
  Exp: Math.exp,
  Abs: Math.abs,
};

const binary: Readonly<Record<string, (a: number, b: number) => number>> = {
  Add: (a, b) => a + b,
  Sub: (a, b) => a - b,
  Mul: (a, b) => a * b,
  Div: (a, b) => a / b,
  Pow: (a, b) => a ** b,
};

/** Operators that leave the elements as they are, in their order. */
const sameElements = new Set(['Identity', 'Reshape', 'Flatten', 'Squeeze', 'Unsqueeze', 'Dropout', 'Cast']);

/**
 * Replaces what does not depend on the network's input by constants: Constant nodes, shapes computed from shapes, and
 * float arithmetic and layout changes on weights, which exporters leave in the graph.
 */
export function foldConstants(graph: EditableGraph, shapes: Shapes): void {
  for (const node of graph.nodes) {
    const name = node.outputs[0] as string;
    const shape = shapes.get(name);
    if (!shape || node.outputs.length > 1) continue;
    if (node.op === 'Constant' && isTensor(node.attributes.value)) {
      graph.setConstant(name, node.attributes.value);
      graph.remove([node]);
      continue;
    }
    if (shape.constant && (shape.dtype === 'int64' || shape.dtype === 'float32')) {
      const { constant, dims, dtype } = shape;
      graph.setConstant(name, dtype === 'int64' ? int64Tensor(constant, dims) : floatTensor(dims, constant));
      graph.remove([node]);
      continue;
    }
    const folded = shape.dtype === 'float32' ? evaluate(graph, node, shapes) : undefined;
    if (!folded) continue;
    graph.setConstant(name, floatTensor(shape.dims, folded));
    keepGrid(graph, node, shape.dims);
    graph.remove([node]);
  }
}

/** Steps that the network gave stay with a constant that only moves. */
function keepGrid(graph: EditableGraph, node: Node, dims: readonly number[]): void {
  const grid = graph.grids.get(node.inputs[0] as string);
  const from = graph.constant(node.inputs[0])?.dims ?? [];
  const perm = node.attributes.perm as readonly number[] | undefined;
  const kept =
    node.op === 'Transpose'
      ? transposedGrid(grid, perm ?? from.map((_, i) => from.length - 1 - i))
      : sameElements.has(node.op)
        ? reshapedGrid(grid, from, dims)
        : undefined;
  if (kept) graph.grids.set(node.outputs[0] as string, kept);
}

function evaluate(graph: EditableGraph, node: Node, shapes: Shapes): Float32Array | undefined {
  const first = graph.floats(node.inputs[0]);
  if (!first) return undefined;
  const dims = shapes.get(node.outputs[0] as string)?.dims ?? [];
  if (sameElements.has(node.op)) return first;
  const one = unary[node.op];
  if (one) return first.map(one);
  const two = binary[node.op];
  const second = graph.floats(node.inputs[1]);
  if (two && second) {
    const [a, b] = [0, 1].map((i) => broadcastIndex(graph.constant(node.inputs[i])?.dims ?? [], dims)) as [
      (i: number) => number,
      (i: number) => number,
    ];
    return Float32Array.from({ length: elementCount(dims) }, (_, i) =>
      two(first[a(i)] as number, second[b(i)] as number),
    );
  }
  if (node.op === 'Transpose') return transpose(graph, node, first, dims);
  return undefined;
}

function transpose(
  graph: EditableGraph,
  node: Node,
  from: Float32Array,
  dims: readonly number[],
): Float32Array {
  const source = graph.constant(node.inputs[0])?.dims ?? [];
  const perm =
    (node.attributes.perm as readonly number[] | undefined) ?? source.map((_, i) => source.length - 1 - i);
  const strides = source.map((_, axis) => elementCount(source.slice(axis + 1)));
  const moved = perm.map((axis) => strides[axis] as number);
  return Float32Array.from({ length: from.length }, (_, i) => {
    let rest = i;
    let at = 0;
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      const size = dims[axis] as number;
      at += (rest % size) * (moved[axis] as number);
      rest = Math.floor(rest / size);
    }
    return from[at] as number;
  });
}
