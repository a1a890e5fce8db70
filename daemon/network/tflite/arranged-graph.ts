import { HildaError } from '../../core/errors.js';
import {
  type Attribute,
  bytesPerElement,
  type Graph,
  int64Tensor,
  type Node,
  type Tensor,
} from '../graph.js';
import {
  compose,
  inverse,
  isIdentity,
  movesNothing,
  type Permutation,
  permuted,
  permuteElements,
} from './permutation.js';

/** A value as it lies in the new network: the old value is the Transpose of `name` by `perm`. */
export interface Lying {
  readonly name: string;
  readonly perm: Permutation;
}

/** Element by element, so that a Transpose may stand before it as well as behind it. */
const passing: ReadonlySet<string> = new Set(['DequantizeLinear', 'Cast', 'Identity']);

/**
 * A network that is written anew while its values change their layout. Transposes of constants are carried out, those of
 * dequantised values are put before the DequantizeLinear: runtimes join it with the operator behind it.
 */
export class ArrangedGraph {
  readonly #graph: Graph;
  readonly #initializers: Map<string, Tensor>;
  readonly #nodes: Node[] = [];
  readonly #makers = new Map<string, Node>();
  readonly #dims = new Map<string, readonly number[]>();
  readonly #lying = new Map<string, Lying>();
  readonly #made = new Map<string, string>();
  readonly #taken: Set<string>;
  #copied: number;

  constructor(
    graph: Graph,
    shapes: ReadonlyMap<string, { dims: readonly number[] }>,
    maxCopiedBytes: number,
  ) {
    this.#graph = graph;
    this.#initializers = new Map(graph.initializers);
    this.#taken = new Set(shapes.keys());
    this.#copied = maxCopiedBytes;
    for (const { name, dims } of graph.inputs) this.#dims.set(name, dims as readonly number[]);
    for (const [name, { dims }] of graph.initializers) this.#dims.set(name, dims);
  }

  lying(value: string): Lying {
    return this.#lying.get(value) ?? { name: value, perm: this.dims(value).map((_, i) => i) };
  }

  place(value: string, lying: Lying): void {
    this.#lying.set(value, lying);
  }

  /** Of a value of the new network. */
  dims(name: string): readonly number[] {
    return this.#dims.get(name) ?? [];
  }

  /** A value of the old network in its old layout. */
  plain(value: string): string {
    if (value === '') return '';
    const { name, perm } = this.lying(value);
    return this.transposed(name, perm);
  }

  /** A value of the old network, so that its Transpose by `perm` is the old one. */
  under(value: string, perm: Permutation): string {
    const lying = this.lying(value);
    return this.transposed(lying.name, compose(lying.perm, inverse(perm)));
  }

  /** The same with leading axes of 1 put in until it has as many axes as `perm`. */
  underBroadcast(value: string, perm: Permutation): string {
    const dims = permuted(this.dims(this.lying(value).name), this.lying(value).perm);
    if (dims.every((size) => size === 1)) return this.plain(value);
    if (dims.length === perm.length) return this.under(value, perm);
    const lifted = this.reshaped(this.plain(value), [...Array(perm.length - dims.length).fill(1), ...dims]);
    return this.transposed(lifted, inverse(perm));
  }

  ints(values: readonly number[]): string {
    return this.#once(`ints ${values}`, () => this.constant(int64Tensor(values)));
  }

  numbers(value: string): readonly number[] | undefined {
    const tensor = this.#initializers.get(value);
    if (tensor?.dtype !== 'int64') return undefined;
    return [...new BigInt64Array(new Uint8Array(tensor.data).buffer)].map(Number);
  }

  constant(tensor: Tensor): string {
    const name = this.fresh('constant');
    this.#initializers.set(name, tensor);
    this.#dims.set(name, tensor.dims);
    return name;
  }

  /** Adds a node of the old network with other inputs; `dims` are those of its outputs. */
  add(node: Node, dims: readonly (readonly number[])[]): void {
    this.#nodes.push(node);
    node.outputs.forEach((name, i) => {
      this.#makers.set(name, node);
      this.#dims.set(name, dims[i] ?? []);
    });
  }

  emit(
    op: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>>,
    dims: readonly number[],
    name = this.fresh(op),
  ): string {
    this.add({ name, op, domain: '', inputs, outputs: [name], attributes }, [dims]);
    return name;
  }

  transposed(name: string, perm: Permutation): string {
    if (isIdentity(perm)) return name;
    return this.#once(`${name} ${perm}`, () => {
      const dims = this.dims(name);
      const target = permuted(dims, perm);
      const constant = this.#initializers.get(name);
      if (constant) return this.#permutedConstant(constant, perm);
      const through = this.#through(name, (input) => this.transposed(input, perm), target, perm);
      if (through !== undefined) return through;
      if (movesNothing(dims, perm)) return this.emit('Reshape', [name, this.ints(target)], {}, target);
      return this.emit('Transpose', [name], { perm }, target);
    });
  }

  reshaped(name: string, dims: readonly number[]): string {
    return this.#once(`${name} to ${dims}`, () => {
      const constant = this.#initializers.get(name);
      if (constant) return this.constant({ ...constant, dims });
      const through = this.#through(name, (input) => this.reshaped(input, dims), dims);
      return through ?? this.emit('Reshape', [name, this.ints(dims)], {}, dims);
    });
  }

  fresh(base: string): string {
    for (let i = 0; ; i++) {
      const name = `${base}_${i}`;
      if (this.#taken.has(name)) continue;
      this.#taken.add(name);
      return name;
    }
  }

  /** The network with the old outputs, without what none of them needs. */
  finish(): Graph {
    for (const { name: output } of this.#graph.outputs) {
      const { name, perm } = this.lying(output);
      if (name === output && isIdentity(perm)) continue;
      if (isIdentity(perm)) this.emit('Identity', [name], {}, this.dims(name), output);
      else this.emit('Transpose', [name], { perm }, permuted(this.dims(name), perm), output);
    }
    const needed = new Set(this.#graph.outputs.map(({ name }) => name));
    const nodes = this.#nodes
      .toReversed()
      .filter((node) => {
        if (!node.outputs.some((name) => needed.has(name))) return false;
        for (const name of node.inputs) needed.add(name);
        return true;
      })
      .toReversed();
    const initializers = new Map([...this.#initializers].filter(([name]) => needed.has(name)));
    return { ...this.#graph, nodes, initializers };
  }

  /** Puts a change of layout before the node that makes a value, where the node works element by element. */
  #through(
    name: string,
    change: (input: string) => string,
    dims: readonly number[],
    perm?: Permutation,
  ): string | undefined {
    const maker = this.#makers.get(name);
    if (!maker || !passing.has(maker.op)) return undefined;
    const [input, ...rest] = maker.inputs as [string, ...string[]];
    if (maker.op !== 'DequantizeLinear' && !this.#initializers.has(input)) return undefined;
    const axis = maker.attributes.axis;
    if (typeof axis === 'number' && !perm) return undefined;
    const attributes =
      typeof axis === 'number' && perm ? { ...maker.attributes, axis: perm.indexOf(axis) } : maker.attributes;
    return this.emit(maker.op, [change(input), ...rest], attributes, dims);
  }

  #permutedConstant(tensor: Tensor, perm: Permutation): string {
    this.#copied -= tensor.data.length;
    if (this.#copied < 0)
      throw new HildaError('NETWORK_TOO_LARGE', 'its operators use the same constants in too many layouts');
    const data = permuteElements(tensor.data, bytesPerElement[tensor.dtype], tensor.dims, perm);
    return this.constant({ dtype: tensor.dtype, dims: permuted(tensor.dims, perm), data });
  }

  #once(key: string, make: () => string): string {
    const name = this.#made.get(key) ?? make();
    this.#made.set(key, name);
    return name;
  }
}
