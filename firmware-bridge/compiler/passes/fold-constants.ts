import { elementCount, floatTensor, int64Tensor, type Node } from '../../../daemon/network/graph.js';
import type { ShapeTable } from '../../../daemon/network/infer-shapes.js';
import { intsAttribute, isTensor } from '../../../daemon/network/shape-rules/rule.js';
import { reshapedGrid, transposedGrid } from '../quantise/constant-grid.js';
import { elementwise } from './constant-elementwise.js';
import { keepsElements, moves, split } from './constant-moves.js';
import { type Constant, constantOf, elementsFor, isFloating, roundTo, tensorOf } from './constant-values.js';
import type { EditableGraph } from './editable-graph.js';
import { handsOn } from './same-elements.js';

/** Shapes and short constants by value, as `ShapeTable.entries` gives them. */
export type Shapes = ReturnType<ShapeTable['entries']>;
type Shape = Shapes extends ReadonlyMap<string, infer Value> ? Value : never;

/**
 * Replaces what does not depend on the network's input by constants: Constant nodes, shapes computed from shapes, and
 * arithmetic and layout changes on weights, which exporters leave in the graph. Floats are rounded step by step as a
 * runtime rounds them.
 */
export function foldConstants(graph: EditableGraph, shapes: Shapes): void {
  const folded: Node[] = [];
  for (const node of graph.nodes) {
    const outputs = node.outputs.map((name) => (name ? shapes.get(name) : undefined));
    const made = evaluate(graph, node, outputs) ?? known(outputs);
    if (!made) continue;
    const tensors = made.map((constant) => ('values' in constant ? tensorOf(constant) : constant));
    if (tensors.some((tensor) => tensor === undefined)) continue;
    node.outputs.forEach((name, i) => {
      const tensor = tensors[i];
      if (name && tensor) graph.foldValue(name, tensor);
    });
    keepGrid(graph, node);
    folded.push(node);
  }
  graph.remove(folded);
}

/** Steps that the network gave stay with a constant that only moves. */
function keepGrid(graph: EditableGraph, node: Node): void {
  const [from, to] = [node.inputs[0], node.outputs[0]] as [string, string];
  const grid = graph.grids.get(from);
  const [before, dims] = [from, to].map((name) => graph.constant(name)?.dims ?? []) as [number[], number[]];
  const perm = intsAttribute(node, 'perm') ?? before.map((_, i) => before.length - 1 - i);
  const isKept = keepsElements.has(node.op) || node.op === 'Dropout';
  const kept =
    node.op === 'Transpose'
      ? transposedGrid(grid, perm)
      : isKept
        ? reshapedGrid(grid, before, dims)
        : undefined;
  if (kept) graph.grids.set(to, kept);
}

/** A short constant that shape inference already knows. */
function known([shape, ...others]: readonly (Shape | undefined)[]):
  | ReturnType<typeof floatTensor>[]
  | undefined {
  if (!shape?.constant || others.length > 0) return undefined;
  const { constant, dims, dtype } = shape;
  if (dtype === 'int64') return [int64Tensor(constant, dims)];
  return dtype === 'float32' ? [floatTensor(dims, constant)] : undefined;
}

/** The outputs of a node whose inputs are all constant; undefined for one that is not, and for operators not known. */
function evaluate(
  graph: EditableGraph,
  node: Node,
  outputs: readonly (Shape | undefined)[],
): readonly (Constant | ReturnType<typeof floatTensor>)[] | undefined {
  if (node.domain !== '') return undefined;
  if (node.op === 'Constant') return isTensor(node.attributes.value) ? [node.attributes.value] : undefined;
  const inputs = node.inputs.map((name) => {
    const tensor = name ? graph.constant(name) : undefined;
    return tensor && constantOf(tensor);
  });
  if (node.inputs.some((name, i) => name && !inputs[i])) return undefined;
  const [first] = inputs;
  const [shape] = outputs;
  if (!shape) return undefined;
  const { dtype, dims } = shape;
  const made = (values: Constant['values'] | undefined): Constant[] | undefined =>
    values && [{ dtype, dims, values }];
  if (node.op === 'ConstantOfShape') return made(filled(node, shape));
  if (!first) return undefined;
  if (node.op === 'Cast') return made(cast(first, dtype));
  if (node.op === 'Dropout') return handsOn(graph, node) ? made(first.values) : undefined;
  if (node.op === 'Split')
    return split(
      node,
      first,
      outputs.map((part) => part?.dims ?? []),
    ).map((values, i) => ({ dtype, dims: outputs[i]?.dims ?? [], values }));
  const move = moves.get(node.op);
  if (move) return made(move(node, inputs, dims));
  const given = inputs.filter((input) => input !== undefined);
  return given.length === inputs.length ? made(elementwise(node.op, given, shape)) : undefined;
}

function filled({ attributes: { value } }: Node, { dtype, dims }: Shape): Constant['values'] | undefined {
  const given = isTensor(value) ? constantOf(value) : undefined;
  if (value !== undefined && !given) return undefined;
  return elementsFor(dtype, elementCount(dims)).fill(given?.values[0] ?? 0);
}

/** The same numbers in another type; undefined where a number does not fit a whole type. */
function cast({ values }: Constant, dtype: Shape['dtype']): Constant['values'] | undefined {
  const limits = wholeLimits.get(dtype);
  if (!limits && !isFloating(dtype) && dtype !== 'bool') return undefined;
  const out = elementsFor(dtype, values.length);
  for (const [i, value] of values.entries()) {
    const whole = Math.trunc(value);
    if (limits && !(whole >= limits[0] && whole <= limits[1])) return undefined;
    out[i] = limits ? whole : roundTo(dtype, value);
  }
  return out;
}

const wholeLimits: ReadonlyMap<string, readonly [number, number]> = new Map([
  ...[8, 16, 32, 64].flatMap((bits): [string, readonly [number, number]][] => [
    [`int${bits}`, [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1]],
    [`uint${bits}`, [0, 2 ** bits - 1]],
  ]),
]);
