import { foldBatchNorm } from './fold-batch-norm.js';
import { freshNames, sharedNames } from './fresh-names.js';
import {
  type Attribute,
  elementCount,
  floatsOf,
  floatTensor,
  type Graph,
  type Node,
  type Tensor,
} from './graph.js';
import { intAttribute } from './shape-rules/rule.js';

/** Of a value over calibration inputs, in its own unit. */
export interface ValueRange {
  readonly min: number;
  readonly max: number;
}

export type RangeOf = (value: string) => ValueRange | undefined;

/** For latency, which no range changes. */
const assumedRange: ValueRange = { min: -8, max: 8 };

export interface QuantiseOptions {
  readonly isInt8: (node: Node) => boolean;
  /** Calibrated ranges by value name; values it does not know get a range that is right for latency alone. */
  readonly rangeOf: RangeOf;
  /** Weights of any value: for counting costs, which is then much quicker. */
  readonly shapesOnly?: boolean;
}

/**
 * A float network with some nodes in int8, spelt with QuantizeLinear and DequantizeLinear as runtimes expect it
 * (onnxruntime joins each group to one integer kernel). Scheme of Jacob et al. (CVPR 2018): weights symmetric by output
 * channel in -127..127, activations affine by tensor in 0..255 (uint8: onnxruntime has kernels for that pairing on every
 * CPU), biases int32 at the product of both scales. Normalisation behind an int8 convolution is folded into it, rounding
 * to a range from zero takes the place of an activation (its grid saturates where the activation does; onnxruntime joins
 * no group with one in between), and the network's outputs stay float. What an int8 node makes is int8 for every reader.
 */
export function quantiseNodes(graph: Graph, options: QuantiseOptions): Graph {
  const int8 = graph.nodes.filter(options.isInt8);
  if (int8.length === 0) return graph;
  // By name: folding makes nodes anew.
  const chosen = new Set(int8.map(({ name }) => name));
  const { shapesOnly = false } = options;
  const folded = foldBatchNorm(graph, { which: options.isInt8, shapesOnly });
  return new Quantiser(folded, { ...options, isInt8: ({ name }) => chosen.has(name) }).run();
}

class Quantiser {
  readonly #graph: Graph;
  readonly #isInt8: (node: Node) => boolean;
  readonly #rangeOf: RangeOf;
  readonly #shapesOnly: boolean;
  readonly #fresh: (base: string) => string;
  readonly #named: (base: string) => string;
  readonly #nodes: Node[] = [];
  readonly #initializers: Map<string, Tensor>;
  readonly #readers = new Map<string, Node[]>();
  /** Value -> what stands for it after rounding to int8. */
  readonly #rounded = new Map<string, { readonly name: string; readonly scale: number }>();
  /** Values that exist as int8 alone. */
  readonly #replaced = new Set<string>();

  constructor(graph: Graph, { isInt8, rangeOf, shapesOnly = false }: QuantiseOptions) {
    this.#graph = graph;
    this.#fresh = freshNames(graph);
    this.#named = sharedNames(this.#fresh);
    this.#isInt8 = isInt8;
    this.#rangeOf = rangeOf;
    this.#shapesOnly = shapesOnly;
    this.#initializers = new Map(graph.initializers);
    for (const node of graph.nodes)
      for (const name of node.inputs) this.#readers.set(name, [...(this.#readers.get(name) ?? []), node]);
  }

  run(): Graph {
    for (const node of this.#graph.nodes) {
      if (this.#isInt8(node) && node.op !== 'Identity') this.#quantise(node);
      else this.#nodes.push({ ...node, inputs: node.inputs.map((name) => this.#asRead(name)) });
    }
    const used = new Set(this.#nodes.flatMap(({ inputs }) => inputs));
    const initializers = new Map([...this.#initializers].filter(([name]) => used.has(name)));
    return { ...this.#graph, nodes: this.#nodes, initializers };
  }

  #asRead(value: string): string {
    return this.#replaced.has(value) ? (this.#rounded.get(value)?.name as string) : value;
  }

  #quantise(node: Node): void {
    const [x] = node.inputs as [string];
    const top = this.#activationTop(node);
    if (top !== undefined && this.#leavesFloat(x) && !this.#leavesFloat(node.outputs[0] as string)) {
      const value = node.outputs[0] as string;
      this.#round(value, { from: x, top });
      this.#replaced.add(value);
      return;
    }
    const inputs = node.inputs.map((name, i) => {
      const constant = this.#graph.initializers.get(name);
      if (!constant) return name === '' ? name : this.#round(name).name;
      if (i === 1 && constant.dims.length >= 2)
        return this.#weight(name, constant, outputAxis(node, constant));
      return name;
    });
    if (node.inputs[2] && inputs[1] !== node.inputs[1])
      inputs[2] = this.#bias(node.inputs[2], this.#round(x).scale, node.inputs[1] as string);
    this.#nodes.push({ ...node, inputs });
    const [value] = node.outputs as [string];
    if (this.#leavesFloat(value)) return;
    this.#round(value);
    this.#replaced.add(value);
  }

  /** Where an activation that starts at zero ends; undefined for any other node. */
  #activationTop({ op, inputs }: Node): number | undefined {
    if (op === 'Relu') return Number.POSITIVE_INFINITY;
    if (op !== 'Clip') return undefined;
    const [low, high] = [inputs[1], inputs[2]].map((name) => {
      const tensor = name ? this.#graph.initializers.get(name) : undefined;
      return tensor?.dtype === 'float32' ? floatsOf(tensor)[0] : undefined;
    });
    return low === 0 ? (high ?? Number.POSITIVE_INFINITY) : undefined;
  }

  /** Behind it an activation is rounded in its place; outputs of the network are never rounded. */
  #leavesFloat(value: string): boolean {
    const readers = this.#readers.get(value) ?? [];
    const isOutput = (name: string): boolean => this.#graph.outputs.some((output) => output.name === name);
    if (isOutput(value)) return true;
    const [only] = readers;
    return (
      readers.length === 1 &&
      only !== undefined &&
      ((this.#activationTop(only) !== undefined && this.#isInt8(only)) ||
        (only.op === 'Identity' && isOutput(only.outputs[0] as string)))
    );
  }

  /** Adds the pair behind a value, once; `activation`: in place of the one that would have made it out of `from`. */
  #round(
    value: string,
    activation?: { readonly from: string; readonly top: number },
  ): { readonly name: string; readonly scale: number } {
    const known = this.#rounded.get(value);
    if (known) return known;
    const range = this.#rangeOf(value) ?? assumedRange;
    // Zero must be a number of the grid: padding is zero.
    const min = activation ? 0 : Math.min(0, range.min);
    const max = Math.min(activation?.top ?? Number.POSITIVE_INFINITY, Math.max(0, range.max));
    const scale = Math.fround((max - min) / 255) || 1;
    const zero = Math.min(255, Math.round(-min / scale));
    const parameters = [
      this.#constant(this.#named(`${value}.scale`), floatTensor([], [scale])),
      this.#constant(this.#named(`${value}.zero`), { dtype: 'uint8', dims: [], data: Uint8Array.of(zero) }),
    ];
    this.#add('QuantizeLinear', [activation?.from ?? value, ...parameters], this.#named(`${value}.uint8`));
    this.#add(
      'DequantizeLinear',
      [this.#named(`${value}.uint8`), ...parameters],
      this.#named(`${value}.rounded`),
    );
    const rounded = { name: this.#named(`${value}.rounded`), scale };
    this.#rounded.set(value, rounded);
    return rounded;
  }

  #weight(name: string, tensor: Tensor, axis: number): string {
    if (this.#initializers.has(this.#named(`${name}.int8`))) return this.#named(`${name}.rounded`);
    const values = floatsOf(tensor);
    const channels = tensor.dims[axis] as number;
    const { scales, whole } = this.#shapesOnly
      ? { scales: new Float32Array(channels).fill(1), whole: new Int8Array(values.length) }
      : roundedChannels(values, channels, elementCount(tensor.dims.slice(axis + 1)));
    const data = new Uint8Array(whole.buffer);
    this.#constant(this.#named(`${name}.int8`), { dtype: 'int8', dims: tensor.dims, data });
    this.#constant(this.#named(`${name}.scales`), floatTensor([channels], scales));
    this.#add(
      'DequantizeLinear',
      [this.#named(`${name}.int8`), this.#named(`${name}.scales`)],
      this.#named(`${name}.rounded`),
      { axis },
    );
    return this.#named(`${name}.rounded`);
  }

  #bias(name: string, inputScale: number, weight: string): string {
    const weightScales = floatsOf(this.#initializers.get(this.#named(`${weight}.scales`)) as Tensor);
    const scales = weightScales.map((scale) => scale * inputScale);
    const values = floatsOf(this.#graph.initializers.get(name) as Tensor);
    const whole = Int32Array.from(values, (b, c) =>
      Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, Math.round(b / (scales[c] as number)))),
    );
    const data = new Uint8Array(whole.buffer);
    // One bias may serve several layers, each with a scale of its own.
    const integers = this.#constant(this.#fresh(`${name}.int32`), {
      dtype: 'int32',
      dims: [whole.length],
      data,
    });
    const factors = this.#constant(this.#fresh(`${name}.scales`), floatTensor([scales.length], scales));
    const rounded = this.#fresh(`${name}.rounded`);
    this.#add('DequantizeLinear', [integers, factors], rounded, { axis: 0 });
    return rounded;
  }

  #constant(name: string, tensor: Tensor): string {
    this.#initializers.set(name, tensor);
    return name;
  }

  #add(
    op: string,
    inputs: readonly string[],
    output: string,
    attributes: Readonly<Record<string, Attribute>> = {},
  ): void {
    this.#nodes.push({ name: output, op, domain: '', inputs, outputs: [output], attributes });
  }
}

/** The axis of a weight that counts output channels: convolutions and Gemm's [out, in], else [in, out]. */
function outputAxis(node: Node, weight: Tensor): number {
  if (node.op === 'Conv') return 0;
  if (node.op === 'Gemm') return intAttribute(node, 'transB', 0) ? 0 : 1;
  return weight.dims.length - 1;
}

/** Symmetric by channel; `inner`: elements behind the channels' axis. */
function roundedChannels(
  values: Float32Array,
  channels: number,
  inner: number,
): { readonly scales: Float32Array; readonly whole: Int8Array } {
  const channelOf = (i: number): number => Math.floor(i / inner) % channels;
  const top = new Float32Array(channels);
  values.forEach((w, i) => {
    top[channelOf(i)] = Math.max(top[channelOf(i)] as number, Math.abs(w));
  });
  const scales = top.map((value) => value / 127 || 1);
  return {
    scales,
    whole: Int8Array.from(values, (w, i) => Math.round(w / (scales[channelOf(i)] as number))),
  };
}
