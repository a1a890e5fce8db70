import type { Graph, Node } from '../graph.js';
import { ArrangedGraph } from './arranged-graph.js';
import { compose, inverse, isIdentity, movesNothing, type Permutation, permuted } from './permutation.js';

const words = (text: string): ReadonlySet<string> => new Set(text.split(' '));

/** The first input decides, the others are single numbers or stand along `axis`. */
const unary = words(
  'Abs Cast Ceil Clip Cos DequantizeLinear Elu Erf Exp Floor HardSwish Identity LeakyRelu Log Neg Not ' +
    'QuantizeLinear Reciprocal Relu Round Sigmoid Sign Sin Sqrt Tanh',
);
/** All inputs broadcast. */
const broadcasting = words(
  'Add And Div Equal Greater GreaterOrEqual Less LessOrEqual Max Min Mul Or Pow PRelu Sub Where',
);
const along = words('Softmax LogSoftmax');
const reducing = words('ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum');

/**
 * Moves Transposes towards the outputs, through operators that can work in the other layout, until they meet their inverse or
 * an operator that cannot. What is left stands where an operator needs it. `shapes` are those of every value of `graph`.
 */
export function settleLayout(
  graph: Graph,
  shapes: ReadonlyMap<string, { readonly dims: readonly number[] }>,
  { maxCopiedBytes }: { readonly maxCopiedBytes: number },
): Graph {
  const made = new ArrangedGraph(graph, shapes, maxCopiedBytes);
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const dimsOf = (value: string): readonly number[] => shapes.get(value)?.dims ?? [];
  /** Adds the node as working on values under `perm`; its outputs lie under `perm` then, or under `given`. */
  const add = (
    node: Node,
    inputs: readonly string[],
    perm: Permutation,
    change: Partial<Node> = {},
    given = perm,
  ) => {
    const names = node.outputs.map((name) =>
      outputs.has(name) && !isIdentity(given) ? made.fresh(`${name}_channels_first`) : name,
    );
    const back = inverse(given);
    made.add(
      { ...node, ...change, name: names[0] ?? node.name, inputs, outputs: names },
      node.outputs.map((name) => permuted(dimsOf(name), back)),
    );
    node.outputs.forEach((name, i) => {
      made.place(name, { name: names[i] as string, perm: given });
    });
  };
  for (const node of graph.nodes) {
    const sunk = sink(node, made, dimsOf, add);
    if (!sunk)
      add(
        node,
        node.inputs.map((name) => made.plain(name)),
        node.outputs.length > 0 ? dimsOf(node.outputs[0] as string).map((_, i) => i) : [],
      );
  }
  return made.finish();
}

type Add = (
  node: Node,
  inputs: readonly string[],
  perm: Permutation,
  change?: Partial<Node>,
  given?: Permutation,
) => void;

/** Converts a node to the layout that its inputs lie in. False where it needs the old one. */
function sink(
  node: Node,
  made: ArrangedGraph,
  dimsOf: (value: string) => readonly number[],
  add: Add,
): boolean {
  const [first = ''] = node.inputs;
  if (first === '') return false;
  const { name, perm } = made.lying(first);
  if (node.op === 'Transpose') {
    made.place(node.outputs[0] as string, { name, perm: compose(perm, node.attributes.perm as number[]) });
    return true;
  }
  if (broadcasting.has(node.op)) return sinkBroadcast(node, made, dimsOf, add);
  if (node.op === 'Concat') return sinkConcat(node, made, add);
  if (isIdentity(perm)) return false;
  const inside = (axis: number): number => perm[axis < 0 ? axis + perm.length : axis] as number;
  const rest = node.inputs.slice(1);
  const { axis, axes, keepdims } = node.attributes;
  const withAxis = typeof axis === 'number' ? { attributes: { ...node.attributes, axis: inside(axis) } } : {};
  if (unary.has(node.op)) add(node, [name, ...rest], perm, withAxis);
  else if (along.has(node.op)) add(node, [name], perm, withAxis);
  else if (node.op === 'Split') add(node, [name, ...rest], perm, withAxis);
  else if (node.op === 'Reshape' && movesNothing(made.dims(name), perm)) {
    add(
      node,
      [name, ...rest],
      dimsOf(node.outputs[0] as string).map((_, i) => i),
    );
  } else if (node.op === 'Slice') {
    const numbers = made.numbers(rest[2] ?? '');
    if (!numbers) return false;
    const lists = [rest[0] as string, rest[1] as string, made.ints(numbers.map(inside)), ...rest.slice(3)];
    add(node, [name, ...lists], perm);
  } else if (node.op === 'Pad') {
    const pads = made.numbers(rest[0] ?? '');
    if (!pads) return false;
    const back = inverse(perm);
    const moved = [
      ...back.map((i) => pads[i] as number),
      ...back.map((i) => pads[i + perm.length] as number),
    ];
    add(node, [name, made.ints(moved), ...rest.slice(1)], perm);
  } else if (reducing.has(node.op)) {
    const given = (axes as number[] | undefined) ?? made.numbers(rest[0] ?? '');
    if (!given) return false;
    const moved = given.map(inside).sort((a, b) => a - b);
    const change = axes ? { attributes: { ...node.attributes, axes: moved } } : {};
    const inputs = axes ? [name] : [name, made.ints(moved)];
    add(node, inputs, perm, change, keepdims === 0 ? without(perm, new Set(moved)) : perm);
  } else return false;
  return true;
}

/** The permutation that is left when axes of what it transposes are taken out. */
function without(perm: Permutation, axes: ReadonlySet<number>): number[] {
  const kept = perm.filter((axis) => !axes.has(axis));
  const order = kept.toSorted((a, b) => a - b);
  return kept.map((axis) => order.indexOf(axis));
}

function sinkBroadcast(
  node: Node,
  made: ArrangedGraph,
  dimsOf: (value: string) => readonly number[],
  add: Add,
): boolean {
  const rank = dimsOf(node.outputs[0] as string).length;
  const moved = node.inputs.map((input) => made.lying(input).perm).filter((perm) => !isIdentity(perm));
  const [perm] = moved;
  if (!perm || moved.some((other) => other.length !== rank)) return false;
  // The slopes of PRelu may not have more axes than its input, which has them all here.
  add(
    node,
    node.inputs.map((input) => made.underBroadcast(input, perm)),
    perm,
  );
  return true;
}

function sinkConcat(node: Node, made: ArrangedGraph, add: Add): boolean {
  const perm = node.inputs.map((input) => made.lying(input).perm).find((one) => !isIdentity(one));
  const { axis } = node.attributes;
  if (!perm || typeof axis !== 'number') return false;
  const attributes = { ...node.attributes, axis: perm[axis < 0 ? axis + perm.length : axis] as number };
  add(
    node,
    node.inputs.map((input) => made.under(input, perm)),
    perm,
    { attributes },
  );
  return true;
}
