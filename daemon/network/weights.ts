import { byteCount, elementCount, type Graph, type Node, type Tensor } from './graph.js';
import { isGraph, isTensor, ownAttribute } from './shape-rules/rule.js';

/** Where a graph holds its weights: initialisers, Constant nodes, and what is only rearranged from them. */

/** A constant without its elements. */
export type Constant = Pick<Tensor, 'dtype' | 'dims'>;

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
const innerGraphs = (node: Node): Graph[] => Object.values(node.attributes).filter(isGraph);

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

/** The constants that a graph sees: its own, and those of the graph around it that it does not hide. */
export class Weights {
  readonly #outer: Weights | undefined;
  readonly #own: ReadonlySet<string>;
  readonly #sources = new Map<string, Constant>();
  readonly #folded = new Set<string>();
  readonly #constant = new Set<string>();

  /** `outer`: the weights of the graph around this one. */
  constructor(graph: Graph, outer?: Weights) {
    this.#outer = outer;
    this.#own = new Set([
      ...graph.inputs.map(({ name }) => name),
      ...graph.initializers.keys(),
      ...graph.nodes.flatMap(({ outputs }) => outputs),
    ]);
    for (const [name, { dtype, dims }] of graph.initializers) this.#addSource(name, { dtype, dims });
    for (const node of graph.nodes) this.#follow(node);
  }

  #addSource(name: string, held: Constant | undefined): void {
    // One object a name, so that it tells the constant apart from all others.
    if (held) this.#sources.set(name, { dtype: held.dtype, dims: held.dims });
    this.#folded.add(name);
    this.#constant.add(name);
  }

  #follow(node: Node): void {
    const [output = ''] = node.outputs;
    if (isConstantNode(node)) {
      this.#addSource(output, heldBy(node));
      return;
    }
    const inputs = node.inputs.filter((name) => name !== '');
    const isDequantised = node.op === 'DequantizeLinear';
    if (!isDequantised && !rearranging.has(node.op)) return;
    if (inputs.length === 0 || !inputs.every((name) => this.isConstant(name))) return;
    this.#constant.add(output);
    if (!isDequantised && inputs.every((name) => this.isFolded(name))) this.#folded.add(output);
  }

  /** An initialiser, or what a Constant node holds. */
  source(name: string): Constant | undefined {
    return this.#own.has(name) ? this.#sources.get(name) : this.#outer?.source(name);
  }

  /** Whether a runtime computes the value once, when it loads the network: a source, or one rearranged. */
  isFolded(name: string): boolean {
    return this.#own.has(name) ? this.#folded.has(name) : (this.#outer?.isFolded(name) ?? false);
  }

  /** Folded, or dequantised from what is: no activation, whether a runtime keeps it or fuses it. */
  isConstant(name: string): boolean {
    return this.#own.has(name) ? this.#constant.has(name) : (this.#outer?.isConstant(name) ?? false);
  }
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
 * Elements of the constants that a node, or a graph inside it, is the first to read as data. `seen` holds those that were
 * read before, and grows. Text, conditions and 64-bit integers, which index and size, are no parameters.
 */
export function parametersOf(node: Node, weights: Weights, seen: Set<Constant>): number {
  const structural = structuralInputs.get(node.op) ?? (node.op.startsWith('Reduce') ? [1] : []);
  let count = 0;
  node.inputs.forEach((name, i) => {
    const source = name === '' ? undefined : weights.source(name);
    if (!source || seen.has(source) || structural.includes(i)) return;
    seen.add(source);
    if (!['int64', 'bool', 'string'].includes(source.dtype)) count += elementCount(source.dims);
  });
  for (const inner of innerGraphs(node)) {
    const inside = new Weights(inner, weights);
    for (const step of inner.nodes) count += parametersOf(step, inside, seen);
  }
  return count;
}
