import type { DType, Graph, Node } from '../../../daemon/network/graph.js';
import type { Shapes } from '../passes/fold-constants.js';
import type { ConstantGrid } from '../quantise/constant-grid.js';
import { activationQuantisation } from '../quantise/linear-quantisation.js';
import type { Quantisation } from '../quantise/quantisation.js';
import { byteForm, elementForm } from './element-forms.js';

/**
 * Operators that round to a grid as well before as behind them: they move elements, choose among them, or cut off what
 * lies beyond a limit, and rounding is monotone.
 */
const handsRoundingOn = new Set([
  'Reshape',
  'Flatten',
  'Squeeze',
  'Unsqueeze',
  'Identity',
  'Transpose',
  'Slice',
  'Expand',
  'Tile',
  'Concat',
  'MaxPool',
  'Relu',
  'Clip',
  'Gather',
]);

/** Operators whose results keep the scale of what they read, or have one of their own. */
const ownScale = new Set([
  'QuantizeLinear',
  'DequantizeLinear',
  'Reshape',
  'Flatten',
  'Squeeze',
  'Unsqueeze',
  'Identity',
  'Transpose',
  'Slice',
  'Split',
  'Expand',
  'Tile',
  'MaxPool',
  'Softmax',
  'Gather',
]);

/** The quantisations that a network fixes by itself: a pair behind a value, or an integer type. */
export class FixedGrids {
  readonly #graph: Graph;
  readonly #shapes: Shapes;
  readonly #readers = new Map<string, Node[]>();
  readonly #known = new Map<string, Quantisation | undefined>();
  /** What is looked up in a constant table that the network gave in steps of one scale, by its own name. */
  readonly #looked = new Map<string, Quantisation>();

  constructor({
    graph,
    shapes,
    grids,
  }: {
    readonly graph: Graph;
    readonly shapes: Shapes;
    readonly grids: ReadonlyMap<string, ConstantGrid>;
  }) {
    this.#graph = graph;
    this.#shapes = shapes;
    for (const { op, inputs, outputs } of graph.nodes) {
      const grid = op === 'Gather' ? grids.get(inputs[0] as string) : undefined;
      if (grid && grid.axis === undefined)
        this.#looked.set(outputs[0] as string, {
          scale: grid.scales[0] as number,
          zeroPoint: grid.zeroPoint,
        });
    }
    for (const node of graph.nodes)
      for (const name of new Set(node.inputs)) {
        const readers = this.#readers.get(name);
        if (readers) readers.push(node);
        else this.#readers.set(name, [node]);
      }
  }

  /** Throws OPERATOR_UNSUPPORTED for a pair that no board can follow. */
  of(name: string): Quantisation | undefined {
    // Step by step: a network may hold more operators in a row than a stack holds calls.
    const passed: string[] = [];
    let at = name;
    let found: Quantisation | { readonly as: string } | undefined;
    while (!this.#known.has(at)) {
      passed.push(at);
      found = this.#find(at);
      if (!found || !('as' in found)) break;
      at = found.as;
    }
    const grid = found && !('as' in found) ? found : this.#known.get(at);
    for (const one of passed) this.#known.set(one, grid);
    return grid;
  }

  /** The values whose ranges lowering asks for, of the inputs and what nodes compute. */
  unfixed(): string[] {
    // What is looked up in a table has a scale of its own; what is chosen keeps that of its data.
    const isLookUp = ({ op, inputs }: Node): boolean =>
      op === 'Gather' && this.#graph.initializers.has(inputs[0] as string);
    const asks = (node: Node, name: string): boolean =>
      !ownScale.has(node.op) || isLookUp(node) || this.#isDivisor(name);
    const made = this.#graph.nodes.flatMap((node) =>
      node.outputs.filter((name) => name !== '' && asks(node, name)),
    );
    return [...this.#graph.inputs.map(({ name }) => name), ...made].filter((name) => {
      const form = this.#formOf(name);
      return (form === undefined || form === 'real') && (!this.of(name) || this.#isDivisor(name));
    });
  }

  /** The grid that the output of a QuantizeLinear, or the input of a DequantizeLinear, lies on. */
  ofPair(node: Node, dtype: DType): Quantisation {
    const rank = this.#shapes.get(node.inputs[0] as string)?.dims.length ?? 0;
    return activationQuantisation(node, dtype, rank, (name) => this.#graph.initializers.get(name));
  }

  /** `as`: the grid is that of another value. */
  #find(name: string): Quantisation | { readonly as: string } | undefined {
    const dtype = this.#shapes.get(name)?.dtype;
    if (dtype && elementForm(dtype) === 'byte') return byteForm(dtype);
    const readers = this.#readers.get(name) ?? [];
    const pair = this.#pairOf(name, readers);
    if (pair) return pair;
    const looked = this.#looked.get(name);
    if (looked) return looked;
    const [only] = readers;
    if (!only || readers.length > 1 || !handsRoundingOn.has(only.op)) return undefined;
    if (this.#graph.outputs.some((output) => output.name === name)) return undefined;
    return { as: only.outputs[0] as string };
  }

  /**
   * The grid of a value that goes into pairs alone, all of them with one scale. Any other reader, and the caller of the
   * network, must see what lies beyond the grid: the value then keeps a range of its own.
   */
  #pairOf(name: string, readers: readonly Node[]): Quantisation | undefined {
    if (this.#graph.outputs.some((output) => output.name === name)) return undefined;
    if (!readers.every(({ op, domain }) => op === 'QuantizeLinear' && domain === '')) return undefined;
    const [first, ...others] = readers.map((pair) =>
      this.ofPair(pair, this.#shapes.get(pair.outputs[0] as string)?.dtype as DType),
    );
    const same = others.every(
      ({ scale, zeroPoint }) => scale === first?.scale && zeroPoint === first.zeroPoint,
    );
    return same ? first : undefined;
  }

  #isDivisor(name: string): boolean {
    return (this.#readers.get(name) ?? []).some(({ op, inputs }) => op === 'Div' && inputs[1] === name);
  }

  #formOf(name: string) {
    const dtype = this.#shapes.get(name)?.dtype;
    return dtype && elementForm(dtype);
  }
}
