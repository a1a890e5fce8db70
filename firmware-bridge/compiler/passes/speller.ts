import { freshNames } from '../../../daemon/network/fresh-names.js';
import type { Attribute, DType, Graph, Node, Tensor } from '../../../daemon/network/graph.js';
import { unsupported } from '../unsupported.js';

/** A quantised operand of a node: the indices of its integers, scale and zero point. */
type Triple = readonly [value: number, scale: number, zero: number];

/** A graph while its operators on integers are spelt out, node by node. */
export class Speller {
  readonly #graph: Graph;
  readonly #fresh: (base: string) => string;
  readonly #nodes: Node[] = [];
  readonly #initializers: Map<string, Tensor>;
  /** Types of integer values, as far as this pass needs them. */
  readonly #types = new Map<string, DType>();

  constructor(graph: Graph) {
    this.#graph = graph;
    this.#fresh = freshNames(graph);
    this.#initializers = new Map(graph.initializers);
    for (const { name, dtype } of graph.inputs) this.#types.set(name, dtype);
    for (const [name, { dtype }] of graph.initializers) this.#types.set(name, dtype);
  }

  /** The graph as spelt so far. */
  get graph(): Graph {
    return { ...this.#graph, nodes: this.#nodes, initializers: this.#initializers };
  }

  get opset(): number {
    return this.#graph.opset;
  }

  constant(name: string | undefined): Tensor | undefined {
    return this.#initializers.get(name ?? '');
  }

  readers(name: string): readonly Node[] {
    return this.#graph.nodes.filter(({ inputs }) => inputs.includes(name));
  }

  isOutput(name: string): boolean {
    return this.#graph.outputs.some((output) => output.name === name);
  }

  addConstant(base: string, tensor: Tensor): string {
    const name = this.#fresh(base);
    this.#initializers.set(name, tensor);
    return name;
  }

  /** Adds a node that takes the place of another one in part, and gives what it makes. */
  add(
    like: Node,
    op: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>> = {},
    output = this.#fresh(`${like.outputs[0]}.${op}`),
  ): string {
    this.push({ name: like.name, op, domain: '', inputs, outputs: [output], attributes });
    return output;
  }

  /** The real numbers that integers of a node stand for. */
  real(node: Node, [value, scale, zero]: Triple, axis?: number): string {
    const inputs = [value, scale, zero].map((i) => node.inputs[i] ?? '');
    return this.add(node, 'DequantizeLinear', inputs, axis === undefined ? {} : { axis });
  }

  /** Ends a node: its own output is what it made, in integers of a scale. `like`: whose type they have by default. */
  quantise(node: Node, made: string, [scale, zero]: readonly [number, number], like: number): void {
    let zeroName = node.inputs[zero] ?? '';
    if (zeroName === '') {
      const dtype = this.#types.get(node.inputs[like] ?? '');
      if (dtype !== 'int8' && dtype !== 'uint8') throw unsupported(node, 'it needs a zero point');
      zeroName = this.addConstant(`${node.outputs[0]}.zero`, { dtype, dims: [], data: new Uint8Array(1) });
    }
    this.add(node, 'QuantizeLinear', [made, node.inputs[scale] ?? '', zeroName], {}, node.outputs[0]);
  }

  push(node: Node): void {
    const [name = ''] = node.outputs;
    const type = this.#types.get(node.inputs[node.op === 'QuantizeLinear' ? 2 : 0] ?? '');
    if (type) this.#types.set(name, type);
    this.#nodes.push(node);
  }
}
