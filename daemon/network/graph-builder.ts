import { HildaError } from '../core/errors.js';
import {
  type Attribute,
  type DType,
  floatTensor,
  type Graph,
  int64Tensor,
  type Node,
  type Tensor,
  type ValueInfo,
} from './graph.js';
import { ConstantShape, ShapeTable } from './infer-shapes.js';

interface NodeOptions {
  /** Also the name of the first output; made from the operator and a counter when left out. */
  readonly name?: string;
  readonly outputs?: number;
  readonly domain?: string;
}

export interface ConvOptions {
  readonly stride?: number;
  /** Both sides of both axes; default: what keeps the size at stride 1. */
  readonly pad?: number;
  readonly groups?: number;
  readonly name?: string;
}

/**
 * Builds a graph node by node; every shape is known as soon as its node is added, so mistakes surface where they are
 * made (ONNX_INVALID, OPERATOR_UNSUPPORTED). Methods return the name of the value they add. Names are deterministic.
 */
export class GraphBuilder {
  readonly #name: string;
  readonly #opset: number;
  readonly #maxWeightBytes: number;
  #weightBytes = 0;
  readonly #inputs: ValueInfo[] = [];
  readonly #outputs: ValueInfo[] = [];
  readonly #initializers = new Map<string, Tensor>();
  readonly #nodes: Node[] = [];
  readonly #shapes: ShapeTable;
  readonly #counters = new Map<string, number>();

  /** `maxWeightBytes`: of all constants together. */
  constructor({
    name,
    opset = 17,
    maxWeightBytes = Number.POSITIVE_INFINITY,
  }: { readonly name: string; readonly opset?: number; readonly maxWeightBytes?: number }) {
    this.#name = name;
    this.#opset = opset;
    this.#maxWeightBytes = maxWeightBytes;
    this.#shapes = new ShapeTable(opset);
  }

  input(name: string, dtype: DType, dims: readonly number[]): string {
    this.#claim(name);
    this.#inputs.push({ name, dtype, dims });
    this.#shapes.declare(name, { dtype, dims });
    return name;
  }

  /** Adds a constant under a name that must be new. Throws NETWORK_TOO_LARGE beyond the limit of all. */
  constant(name: string, tensor: Tensor): string {
    this.#claim(name);
    this.#weightBytes += tensor.data.byteLength;
    if (this.#weightBytes > this.#maxWeightBytes)
      throw new HildaError(
        'NETWORK_TOO_LARGE',
        `weight bytes with ${name}: ${this.#weightBytes}, at most ${this.#maxWeightBytes} allowed`,
        { details: { is: this.#weightBytes, max: this.#maxWeightBytes } },
      );
    this.#initializers.set(name, tensor);
    this.#shapes.declare(name, new ConstantShape(tensor));
    return name;
  }

  hasConstant(name: string): boolean {
    return this.#initializers.has(name);
  }

  scalar(value: number): string {
    return this.#shared(`scalar_${value}`, () => floatTensor([], [value]));
  }

  ints(values: readonly number[]): string {
    return this.#shared(`ints_${values.join('_')}`, () => int64Tensor(values));
  }

  node(
    op: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>> = {},
    options: NodeOptions = {},
  ): string {
    return this.nodeMulti(op, inputs, attributes, options)[0] as string;
  }

  nodeMulti(
    op: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>> = {},
    options: NodeOptions = {},
  ): string[] {
    const name = options.name ?? this.#fresh(op);
    const outputs = Array.from({ length: options.outputs ?? 1 }, (_, i) => (i === 0 ? name : `${name}.${i}`));
    for (const output of outputs) this.#claim(output);
    const node: Node = { name, op, domain: options.domain ?? '', inputs: [...inputs], outputs, attributes };
    this.#shapes.apply(node);
    this.#nodes.push(node);
    return outputs;
  }

  dimsOf(value: string): readonly number[] {
    return this.#shapes.shapeOf(value).dims;
  }

  /** The elements of a short constant; undefined for what only running the graph tells. */
  constantOf(value: string): readonly number[] | undefined {
    return this.#shapes.entries().get(value)?.constant;
  }

  dtypeOf(value: string): DType {
    return this.#shapes.shapeOf(value).dtype;
  }

  /** Declares a value as an output of the graph, under its own name or, through an Identity, under another. */
  output(value: string, name = value): void {
    const named = name === value ? value : this.node('Identity', [value], {}, { name });
    const { dtype, dims } = this.#shapes.shapeOf(named);
    this.#outputs.push({ name: named, dtype, dims });
  }

  build(): Graph {
    return {
      name: this.#name,
      opset: this.#opset,
      inputs: [...this.#inputs],
      outputs: [...this.#outputs],
      initializers: new Map(this.#initializers),
      nodes: [...this.#nodes],
    };
  }

  /** 2-D convolution, NCHW; the kernel's size is the weight's. `bias` may be left out. */
  conv(
    x: string,
    weight: string,
    bias?: string,
    { stride = 1, pad, groups = 1, name }: ConvOptions = {},
  ): string {
    const [, , height, width] = this.dimsOf(weight) as [number, number, number, number];
    const [padY, padX] = pad === undefined ? [(height - 1) >> 1, (width - 1) >> 1] : [pad, pad];
    const attributes = {
      kernel_shape: [height, width],
      strides: [stride, stride],
      pads: [padY, padX, padY, padX],
      dilations: [1, 1],
      group: groups,
    };
    return this.node('Conv', bias ? [x, weight, bias] : [x, weight], attributes, name ? { name } : {});
  }

  batchNorm(x: string, scale: string, bias: string, mean: string, variance: string, epsilon = 1e-5): string {
    return this.node('BatchNormalization', [x, scale, bias, mean, variance], { epsilon });
  }

  relu(x: string): string {
    return this.node('Relu', [x]);
  }

  clip(x: string, min: number, max: number): string {
    return this.node('Clip', [x, this.scalar(min), this.scalar(max)]);
  }

  hardSwish(x: string): string {
    return this.node('HardSwish', [x]);
  }

  /** x times the transpose of weight [out, in], plus bias. */
  gemm(x: string, weight: string, bias?: string): string {
    return this.node('Gemm', bias ? [x, weight, bias] : [x, weight], { transB: 1 });
  }

  matMul(a: string, b: string): string {
    return this.node('MatMul', [a, b]);
  }

  add(a: string, b: string): string {
    return this.node('Add', [a, b]);
  }

  mul(a: string, b: string): string {
    return this.node('Mul', [a, b]);
  }

  softmax(x: string, axis = -1): string {
    return this.node('Softmax', [x], { axis });
  }

  layerNorm(x: string, scale: string, bias: string, epsilon = 1e-5): string {
    return this.node('LayerNormalization', [x, scale, bias], { axis: -1, epsilon });
  }

  /** Exact GELU in the form that opset 17 has and onnxruntime fuses: x/2 (1 + erf(x/sqrt 2)). */
  gelu(x: string): string {
    const erf = this.node('Erf', [this.node('Div', [x, this.scalar(Math.SQRT2)])]);
    return this.mul(this.mul(x, this.add(erf, this.scalar(1))), this.scalar(0.5));
  }

  transpose(x: string, perm: readonly number[]): string {
    return this.node('Transpose', [x], { perm });
  }

  reshape(x: string, dims: readonly number[]): string {
    return this.node('Reshape', [x, this.ints(dims)]);
  }

  flatten(x: string): string {
    return this.node('Flatten', [x], { axis: 1 });
  }

  globalAveragePool(x: string): string {
    return this.node('GlobalAveragePool', [x]);
  }

  reduceMean(x: string, axes: readonly number[], keepdims = 1): string {
    return this.node('ReduceMean', [x], { axes, keepdims });
  }

  concat(values: readonly string[], axis: number): string {
    return this.node('Concat', values, { axis });
  }

  slice(x: string, axis: number, start: number, end: number): string {
    return this.node('Slice', [x, this.ints([start]), this.ints([end]), this.ints([axis])]);
  }

  split(x: string, axis: number, parts: readonly number[]): string[] {
    return this.nodeMulti('Split', [x, this.ints(parts)], { axis }, { outputs: parts.length });
  }

  #claim(name: string): void {
    if (this.#shapes.entries().has(name)) throw new RangeError(`the name ${name} is taken`);
  }

  #shared(name: string, make: () => Tensor): string {
    return this.hasConstant(name) ? name : this.constant(name, make());
  }

  #fresh(op: string): string {
    for (;;) {
      const count = this.#counters.get(op) ?? 0;
      this.#counters.set(op, count + 1);
      const name = `${op}_${count}`;
      if (!this.#shapes.entries().has(name)) return name;
    }
  }
}
