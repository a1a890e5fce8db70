import { freshNames } from '../../../daemon/network/fresh-names.js';
import {
  type Attribute,
  floatsOf,
  type Graph,
  type Node,
  type Tensor,
  type ValueInfo,
} from '../../../daemon/network/graph.js';
import { numbersOf } from '../../../daemon/network/tensor-numbers.js';
import type { ConstantGrid } from '../quantise/constant-grid.js';
import type { Range } from '../quantise/quantisation.js';

/** The domain of operators that only the compiler knows: what ONNX spells with several nodes, as one. */
export const fusedDomain = 'hilda';

/** A value that the network does not have: made by a pass between two that it has. */
export interface MadeValue {
  readonly dims: readonly number[];
  /** Its range by those of the network's values; left out where nothing needs one (a value that only moves). */
  readonly range?: (rangeOf: (value: string) => Range | undefined) => Range | undefined;
}

/**
 * A graph while passes rewrite it. A value that survives keeps the name and the meaning it had in the network, so that
 * ranges calibrated on the network as it came hold for the graph that is lowered.
 */
export class EditableGraph {
  readonly #source: Graph;
  #nodes: Node[];
  readonly #initializers: Map<string, Tensor>;
  #producers: Map<string, Node> | undefined;
  #consumers: Map<string, Node[]> | undefined;
  readonly #outputs: ReadonlySet<string>;
  /** The steps of constants that the network gave as integers, by name. */
  readonly grids = new Map<string, ConstantGrid>();
  readonly #made = new Map<string, MadeValue>();
  readonly #fresh: (base: string) => string;

  constructor(graph: Graph) {
    this.#source = graph;
    this.#fresh = freshNames(graph);
    // ONNX's own domain has two spellings.
    this.#nodes = graph.nodes.map((node) => (node.domain === 'ai.onnx' ? { ...node, domain: '' } : node));
    this.#initializers = new Map(graph.initializers);
    this.#outputs = new Set(graph.outputs.map((output: ValueInfo) => output.name));
  }

  get nodes(): readonly Node[] {
    return this.#nodes;
  }

  get opset(): number {
    return this.#source.opset;
  }

  /** What the passes have made so far, by name. */
  get made(): ReadonlyMap<string, MadeValue> {
    return this.#made;
  }

  isOutput(value: string): boolean {
    return this.#outputs.has(value);
  }

  producer(value: string | undefined): Node | undefined {
    this.#producers ??= new Map(this.#nodes.flatMap((node) => node.outputs.map((name) => [name, node])));
    return value === undefined ? undefined : this.#producers.get(value);
  }

  consumers(value: string): readonly Node[] {
    if (!this.#consumers) {
      this.#consumers = new Map();
      for (const node of this.#nodes) {
        for (const name of new Set(node.inputs)) {
          const known = this.#consumers.get(name);
          if (known) known.push(node);
          else this.#consumers.set(name, [node]);
        }
      }
    }
    return this.#consumers.get(value) ?? [];
  }

  /** The one node that reads a value, where nothing else does and it is no output of the graph. */
  onlyConsumer(value: string): Node | undefined {
    const all = this.consumers(value);
    return all.length === 1 && !this.isOutput(value) ? all[0] : undefined;
  }

  /** The node that makes a value when `op` is its operator and nobody but `reader` needs the value. */
  privateProducer(value: string | undefined, op: string, reader: Node): Node | undefined {
    const node = this.producer(value);
    if (!node || value === undefined || node.op !== op) return undefined;
    return this.onlyConsumer(value) === reader ? node : undefined;
  }

  constant(value: string | undefined): Tensor | undefined {
    return value === undefined ? undefined : this.#initializers.get(value);
  }

  /** The elements of a float constant; undefined for anything else. */
  floats(value: string | undefined): Float32Array | undefined {
    const tensor = this.constant(value);
    return tensor?.dtype === 'float32' ? floatsOf(tensor) : undefined;
  }

  /** The one element of a constant scalar of any rank. */
  scalar(value: string | undefined): number | undefined {
    const tensor = this.constant(value);
    const numbers = tensor && numbersOf(tensor);
    return numbers?.length === 1 ? numbers[0] : undefined;
  }

  /** The elements of a short constant of whole numbers: axes, indices, widths. */
  integers(value: string | undefined): readonly number[] | undefined {
    const tensor = this.constant(value);
    return tensor?.dtype === 'int64' || tensor?.dtype === 'int32' ? numbersOf(tensor) : undefined;
  }

  /** Gives the elements of a value that turned out to be constant. */
  foldValue(name: string, tensor: Tensor): void {
    this.#initializers.set(name, tensor);
  }

  /** Adds a constant of a pass's own under `base`, or a name like it where the model has that one; `grid`: its known steps. */
  addConstant(base: string, tensor: Tensor, grid?: ConstantGrid): string {
    const name = this.#fresh(base);
    this.#initializers.set(name, tensor);
    if (grid) this.grids.set(name, grid);
    return name;
  }

  /** Names a value of a pass's own, which a node that the pass adds computes. */
  makeValue(base: string, value: MadeValue): string {
    const name = this.#fresh(base);
    this.#made.set(name, value);
    return name;
  }

  /** Puts a node in the place of another; the nodes in `with` take over the values that `old` made. */
  replace(old: Node, ...replacements: readonly Node[]): void {
    this.#nodes = this.#nodes.flatMap((node) => (node === old ? replacements : [node]));
    this.#changed();
  }

  remove(nodes: readonly Node[]): void {
    const gone = new Set(nodes);
    this.#nodes = this.#nodes.filter((node) => !gone.has(node));
    this.#changed();
  }

  /** Makes every reader of `from` read `to` instead. */
  redirect(from: string, to: string): void {
    this.#nodes = this.#nodes.map((node) =>
      node.inputs.includes(from)
        ? { ...node, inputs: node.inputs.map((name) => (name === from ? to : name)) }
        : node,
    );
    this.#changed();
  }

  /** The node that made `from` makes `to` instead (used when the node behind it, which made `to`, goes away). */
  renameOutput(from: string, to: string): void {
    this.#nodes = this.#nodes.map((node) => ({
      ...node,
      outputs: node.outputs.map((name) => (name === from ? to : name)),
      inputs: node.inputs.map((name) => (name === from ? to : name)),
    }));
    this.#changed();
  }

  /** Drops nodes that no output needs: a pattern's inner nodes would else count as readers of what they read. */
  prune(): void {
    const needed = new Set(this.#outputs);
    const kept: Node[] = [];
    for (const node of [...this.#nodes].reverse()) {
      if (!node.outputs.some((name) => needed.has(name))) continue;
      kept.push(node);
      for (const name of node.inputs) needed.add(name);
    }
    this.#nodes = kept.reverse();
    for (const name of this.#initializers.keys()) if (!needed.has(name)) this.#initializers.delete(name);
    this.#changed();
  }

  /** The graph without what no output needs. */
  toGraph(): Graph {
    this.prune();
    return { ...this.#source, nodes: this.#nodes, initializers: new Map(this.#initializers) };
  }

  #changed(): void {
    this.#producers = undefined;
    this.#consumers = undefined;
  }
}

/** A node of the compiler's own domain that takes the name of the node it stands for. */
export const fusedNode = (
  like: Node,
  op: string,
  inputs: readonly string[],
  attributes: Readonly<Record<string, Attribute>> = {},
): Node => ({ name: like.name, op, domain: fusedDomain, inputs, outputs: like.outputs, attributes });
