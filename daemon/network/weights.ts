import { byteCount, elementCount, type Graph, type Node, type Tensor } from './graph.js';
import { isGraph, isTensor, ownAttribute } from './shape-rules/rule.js';

/** Where a graph holds its weights: initialisers, Constant nodes, and what is only rearranged from them. */

type Constant = Pick<Tensor, 'dtype' | 'dims'>;

export const isConstantNode = (node: Node): boolean =>
  node.op === 'Constant' && (node.domain === '' || node.domain === 'ai.onnx');

/** What a Constant node holds; undefined for text and sparse values. */
function heldBy(node: Node): Constant | undefined {
  const value = ownAttribute(node, 'value');
  if (isTensor(value)) return value;
  for (const [name, dtype] of [
    ['value_float', 'float32'],
    ['value_int', 'int64'],
    ['value_floats', 'float32'],
    ['value_ints', 'int64'],
  ] as const) {
    const held = ownAttribute(node, name);
    if (held !== undefined) return { dtype, dims: Array.isArray(held) ? [held.length] : [] };
  }
  return undefined;
}

/** Graphs inside a node (If, Loop, Scan). */
export const innerGraphs = (node: Node): Graph[] => Object.values(node.attributes).filter(isGraph);

/** Names that a node reads: its inputs, and what the graphs inside it take from the graph around them. */
export function readsOf(node: Node): string[] {
  const inside = innerGraphs(node).flatMap((graph) => {
    const own = new Set([
      ...graph.inputs.map(({ name }) => name),
      ...graph.initializers.keys(),
      ...graph.nodes.flatMap(({ outputs }) => outputs),
    ]);
    return [...graph.nodes.flatMap(readsOf), ...graph.outputs.map(({ name }) => name)].filter(
      (name) => !own.has(name),
    );
  });
  return [...new Set([...node.inputs, ...inside])].filter((name) => name !== '');
}

/** Bytes of all constants of a graph and of the graphs inside it, each once. */
export function weightBytesOf(graph: Graph): number {
  let bytes = 0;
  for (const tensor of graph.initializers.values()) bytes += tensor.data.byteLength;
  for (const node of graph.nodes) {
    const held = isConstantNode(node) ? heldBy(node) : undefined;
    if (held) bytes += byteCount(held.dtype, held.dims);
    for (const inner of innerGraphs(node)) bytes += weightBytesOf(inner);
  }
  return bytes;
}

/** Operators that give a constant another name, type or arrangement. */
const rearranging = new Set(['Identity', 'Cast', 'Reshape', 'Flatten', 'Squeeze', 'Unsqueeze', 'Transpose']);

export interface Weights {
  /** Initialisers and values of Constant nodes, by name. */
  readonly sources: ReadonlyMap<string, Constant>;
  /** Sources and what is rearranged from them: a runtime computes it once, when it loads the network. */
  readonly folded: ReadonlySet<string>;
  /** `folded`, and what is dequantised from them: no activation, whether a runtime keeps it or fuses it. */
  readonly constant: ReadonlySet<string>;
}

/** `outer`: the weights of the graph around this one. */
export function weightsOf(graph: Graph, outer?: Weights): Weights {
  const sources = new Map<string, Constant>(outer?.sources);
  const folded = new Set<string>(outer?.folded);
  const constant = new Set<string>(outer?.constant);
  const add = (name: string, isFolded = true): void => {
    constant.add(name);
    if (isFolded) folded.add(name);
  };
  // An inner graph's own values hide those of the graph around it.
  for (const name of [...graph.inputs.map((v) => v.name), ...graph.nodes.flatMap((node) => node.outputs)]) {
    sources.delete(name);
    folded.delete(name);
    constant.delete(name);
  }
  for (const [name, tensor] of graph.initializers) {
    sources.set(name, tensor);
    add(name);
  }
  for (const node of graph.nodes) {
    const [output = ''] = node.outputs;
    const inputs = node.inputs.filter((name) => name !== '');
    if (isConstantNode(node)) {
      const held = heldBy(node);
      if (held) sources.set(output, held);
      add(output);
    } else if (inputs.length > 0 && rearranging.has(node.op) && inputs.every((name) => constant.has(name)))
      add(
        output,
        inputs.every((name) => folded.has(name)),
      );
    else if (node.op === 'DequantizeLinear' && inputs.every((name) => constant.has(name))) add(output, false);
  }
  return { sources, folded, constant };
}

/** Inputs that steer shapes or choose elements and hold no weights, by operator. */
const structuralInputs: ReadonlyMap<string, readonly number[]> = new Map([
  ...['Reshape', 'Expand', 'Tile', 'Squeeze', 'Unsqueeze', 'Split', 'Upsample', 'TopK', 'OneHot'].map(
    (op): [string, number[]] => [op, [1]],
  ),
  ...[
    'Gather',
    'GatherElements',
    'GatherND',
    'ScatterElements',
    'ScatterND',
    'CumSum',
    'Trilu',
    'Compress',
  ].map((op): [string, number[]] => [op, [1]]),
  ['Slice', [1, 2, 3, 4]],
  ['Pad', [1, 3]],
  ['ConstantOfShape', [0]],
  ['Range', [0, 1, 2]],
  ['Resize', [1, 2, 3]],
  ['Dropout', [1, 2]],
  ['If', [0]],
  ['Loop', [0, 1]],
]);

/**
 * Elements of the constants that a node is the first to read as data. `seen` holds the names of those that were read
 * before, and grows. Text, conditions and 64-bit integers, which index and size, are no parameters.
 */
export function parametersOf(node: Node, weights: Weights, seen: Set<string>): number {
  if (isConstantNode(node)) return 0;
  const structural = structuralInputs.get(node.op) ?? (node.op.startsWith('Reduce') ? [1] : []);
  let count = 0;
  node.inputs.forEach((name, i) => {
    const source = weights.sources.get(name);
    if (!source || seen.has(name) || structural.includes(i)) return;
    seen.add(name);
    if (!['int64', 'bool', 'string'].includes(source.dtype)) count += elementCount(source.dims);
  });
  // What only an inner graph reads counts where that graph stands.
  for (const inner of innerGraphs(node)) {
    const inside = weightsOf(inner, weights);
    const own = new Set(
      [...inside.sources.keys()].filter((name) => inside.sources.get(name) !== weights.sources.get(name)),
    );
    const known = new Set([...seen].filter((name) => !own.has(name)));
    for (const step of inner.nodes) count += parametersOf(step, inside, known);
    for (const name of known) if (!own.has(name)) seen.add(name);
  }
  return count;
}
