import { floatTensor, type Node } from '../../../daemon/network/graph.js';
import { intAttribute } from '../../../daemon/network/shape-rules/rule.js';
import { scaledGrid, transposedGrid } from '../quantise/constant-grid.js';
import type { Range } from '../quantise/quantisation.js';
import { type EditableGraph, fusedNode } from './editable-graph.js';
import type { Shapes } from './fold-constants.js';

/**
 * What `fuseLinear` leaves of Gemm, spelt out: alpha A' B' as a product and beta C as a sum behind it. A factor that no
 * product takes (alpha below zero, beta of an activation) leaves the node as it is.
 */
export function spellGemm(graph: EditableGraph, shapes: Shapes): void {
  for (const node of graph.nodes) {
    if (node.op !== 'Gemm') continue;
    const nodes = spelt(graph, node, shapes);
    if (nodes) graph.replace(node, ...nodes);
  }
}

function spelt(graph: EditableGraph, node: Node, shapes: Shapes): Node[] | undefined {
  const name = node.outputs[0] as string;
  const dims = shapes.get(name)?.dims ?? [];
  const [alpha, beta] = [Number(node.attributes.alpha ?? 1), Number(node.attributes.beta ?? 1)];
  const isConstant = [0, 1].map((i) => graph.floats(node.inputs[i]) !== undefined);
  if ((!isConstant[0] && !isConstant[1] && !(alpha > 0)) || (isConstant[0] && isConstant[1]))
    return undefined;
  const nodes: Node[] = [];
  const operand = (i: 0 | 1, attribute: string): string => {
    const given = node.inputs[i] as string;
    const isTurned = intAttribute(node, attribute, 0) !== 0;
    if (isConstant[i]) return scaledConstant(graph, given, isTurned, alpha);
    if (!isTurned) return given;
    const turned = [...(shapes.get(given)?.dims ?? [])].reverse();
    const across = graph.makeValue(`${name}.transposed`, { dims: turned });
    nodes.push({
      ...node,
      op: 'Transpose',
      inputs: [given],
      outputs: [across],
      attributes: { perm: [1, 0] },
    });
    return across;
  };
  const inputs = [operand(0, 'transA'), operand(1, 'transB')];
  const isFactored = isConstant[0] || isConstant[1];
  const product = isConstant[1]
    ? fusedNode(node, 'Linear', inputs)
    : fusedNode(node, 'MatMul', inputs, isFactored ? {} : { scale: alpha });
  const given = node.inputs[2];
  if (!given) return [...nodes, product];
  const values = graph.floats(given)?.map((value) => beta * value);
  if (!values && beta !== 1) return undefined;
  const between = graph.makeValue(`${name}.product`, {
    dims,
    range: (rangeOf) => without(rangeOf(name), values ? extremes(values) : rangeOf(given)),
  });
  const sum = values
    ? graph.addConstant(`${name}.shift`, floatTensor(graph.constant(given)?.dims ?? [], values))
    : given;
  const added: Node = { ...node, op: 'Add', inputs: [between, sum], attributes: {} };
  return [...nodes, { ...product, outputs: [between] }, added];
}

/** A constant matrix, turned where it is to be, times a factor. */
function scaledConstant(graph: EditableGraph, name: string, isTurned: boolean, factor: number): string {
  const values = graph.floats(name) as Float32Array;
  const [rows = 1, columns = 1] = graph.constant(name)?.dims ?? [];
  if (!isTurned && factor === 1) return name;
  const dims = isTurned ? [columns, rows] : [rows, columns];
  const width = dims[1] as number;
  const moved = values.map((_, i) => {
    const from = isTurned ? (i % width) * columns + Math.floor(i / width) : i;
    return factor * (values[from] as number);
  });
  const scaled = scaledGrid(graph.grids.get(name), factor);
  return graph.addConstant(
    name,
    floatTensor(dims, moved),
    isTurned ? transposedGrid(scaled, [1, 0]) : scaled,
  );
}

/** Where x lies when x + c lies in `sum`. */
const without = (sum: Range | undefined, c: Range | undefined): Range | undefined =>
  sum && c && { min: sum.min - c.max, max: sum.max - c.min };

const extremes = (values: Float32Array): Range =>
  values.reduce((r, v) => ({ min: Math.min(r.min, v), max: Math.max(r.max, v) }), { min: 0, max: 0 });
