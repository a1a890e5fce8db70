import { HildaError } from '../../core/errors.js';
import {
  type Attribute,
  type DType,
  floatTensor,
  type Graph,
  int64Tensor,
  type Node,
  type Tensor,
} from '../graph.js';
import { ShapeTable } from '../infer-shapes.js';
import type { Shape } from '../shape-rules/rule.js';
import { numbersOf } from '../tensor-numbers.js';
import { invalid } from './invalid.js';
import type { Quantisation, TfliteModel, TfliteTensor } from './model.js';

export type Attributes = Readonly<Record<string, Attribute>>;

/** Element types that stand for real numbers once they have scales. */
const quantisable: readonly (DType | undefined)[] = ['int8', 'uint8', 'int16'];

export const isQuantised = ({ dtype, quantisation }: TfliteTensor): boolean =>
  quantisation !== undefined && quantisable.includes(dtype);

const range: Readonly<Record<string, readonly [number, number]>> = {
  int8: [-128, 127],
  uint8: [0, 255],
  int16: [-32768, 32767],
};

/** The smallest and the largest number that a quantised tensor stores. */
export const storedRange = ({ dtype }: TfliteTensor): readonly [number, number] =>
  range[dtype ?? ''] ?? [0, 0];

/**
 * The ONNX network as it grows operator by operator. Values stand in the layout that TensorFlow Lite gives them; a
 * quantised tensor is an integer value with a DequantizeLinear for those who compute with it. Names are numbers until
 * `build`, so that none can collide with a name of the file.
 */
export class Conversion {
  readonly model: TfliteModel;
  /** QuantizeLinear knows int16 from operator set 21 on; boards and old runtimes know 17. */
  readonly opset: number;
  readonly #table: ShapeTable;
  readonly #nodes: Node[] = [];
  readonly #initializers = new Map<string, Tensor>();
  /** By tensor: the value that holds it as stored, and as float32. */
  readonly #stored = new Map<number, string>();
  readonly #floats = new Map<number, string>();
  readonly #parameters = new Map<number, readonly [string, string]>();
  readonly #small = new Map<string, string>();
  /** By variable: the input that holds it before a run, and the value behind one. */
  readonly #variables = new Map<number, { readonly before: string; after?: string }>();
  /** The tensor that a value is named after. */
  readonly #namesakes = new Map<string, number>();
  #values = 0;

  constructor(model: TfliteModel) {
    this.model = model;
    this.opset = model.tensors.some((tensor) => tensor.dtype === 'int16' && isQuantised(tensor)) ? 21 : 17;
    this.#table = new ShapeTable(this.opset);
    if (new Set(model.inputs).size !== model.inputs.length) throw invalid('an input is listed twice');
    for (const i of model.inputs) {
      const { dims, dtype, refused, data, name } = model.tensors[i] as TfliteTensor;
      if (refused || !dtype) throw refusal(`the input ${name}: ${refused}`);
      if (data) throw invalid(`the input ${name} is a constant too`);
      if (dims.some((size) => size < 0))
        throw new HildaError('SHAPE_UNKNOWN', `the input ${name} has the shape [${dims}]`);
      this.#stored.set(i, this.#declare({ dtype, dims }, i));
    }
  }

  tensor(index: number): TfliteTensor {
    const tensor = this.model.tensors[index];
    if (!tensor) throw invalid(`there is no tensor ${index}`);
    return tensor;
  }

  /** The value that holds a tensor as the file stores it. */
  stored(index: number): string {
    const known = this.#stored.get(index);
    if (known !== undefined) return known;
    const { name, data, dtype, dims, refused, variable } = this.tensor(index);
    if (refused || !dtype) throw refusal(`the tensor ${name}: ${refused}`);
    if (variable) throw refusal(`the tensor ${name}: variables are not supported`);
    // An empty list, e.g. of axes, has no bytes.
    const elements = data ?? (dims.includes(0) ? new Uint8Array() : undefined);
    if (!elements) throw invalid(`the tensor ${name || index} is read before it is computed`);
    const value = this.constant({ dtype, dims, data: elements }, index);
    this.#stored.set(index, value);
    return value;
  }

  /** The value to compute with: dequantised where the tensor has scales. */
  real(index: number): string {
    const tensor = this.tensor(index);
    if (!isQuantised(tensor)) return this.stored(index);
    const known = this.#floats.get(index);
    if (known !== undefined) return known;
    const stored = this.stored(index);
    const { scales, axis } = tensor.quantisation as Quantisation;
    if (scales.length > 1 && !tensor.data)
      throw refusal(`the tensor ${tensor.name}: scales by channel are supported for constants alone`);
    if (scales.length > 1 && tensor.dims[axis] !== scales.length)
      throw refusal(
        `the tensor ${tensor.name}: ${scales.length} scales along axis ${axis} of [${tensor.dims}] are not supported`,
      );
    const [scale, zero] = this.parameters(index);
    const plain = tensor.data !== undefined && tensor.quantisation?.zeroPoints.every((z) => z === 0);
    const value = this.emit(
      'DequantizeLinear',
      plain ? [stored, scale] : [stored, scale, zero],
      scales.length > 1 ? { axis } : {},
    );
    this.#floats.set(index, value);
    return value;
  }

  /** Scale and zero point of a quantised tensor, as constants. */
  parameters(index: number): readonly [string, string] {
    const known = this.#parameters.get(index);
    if (known) return known;
    const tensor = this.tensor(index);
    const { scales, zeroPoints } = tensor.quantisation as Quantisation;
    const [low, high] = storedRange(tensor);
    const positive = (scale: number): boolean => (tensor.data ? scale >= 0 : scale > 0) && scale < Infinity;
    if (!scales.every(positive)) throw refusal(`the tensor ${tensor.name} has the scale ${scales}`);
    if (!zeroPoints.every((zero) => zero >= low && zero <= high))
      throw invalid(`the tensor ${tensor.name} has the zero point ${zeroPoints} outside ${low} to ${high}`);
    const dims = scales.length > 1 ? [scales.length] : [];
    const zeros = scales.map((_, i) => zeroPoints[i] ?? (zeroPoints[0] as number));
    const data =
      tensor.dtype === 'int16'
        ? new Uint8Array(Int16Array.from(zeros).buffer)
        : Uint8Array.from(zeros, (zero) => zero & 0xff);
    const made = [
      this.constant(floatTensor(dims, scales)),
      this.constant({ dtype: tensor.dtype as DType, dims, data }),
    ] as const;
    this.#parameters.set(index, made);
    return made;
  }

  /** A variable as one run finds it: an input of the network behind those of the file. One operator has it. */
  variable(index: number): string {
    const { name, dtype, dims, refused, variable } = this.tensor(index);
    if (refused || !dtype) throw refusal(`the tensor ${name}: ${refused}`);
    if (!variable) throw refusal(`the tensor ${name}: a state that is no variable is not supported`);
    if (this.#variables.has(index))
      throw refusal(`the tensor ${name}: a variable of several operators is not supported`);
    const before = this.#declare({ dtype, dims }, index);
    this.#variables.set(index, { before });
    return before;
  }

  /** Says what a run leaves in a variable: an output of the network behind those of the file. */
  leave(index: number, after: string): void {
    const { before } = this.#variables.get(index) as { before: string };
    this.#variables.set(index, { before, after });
  }

  /** Says which value holds a tensor from now on. */
  define(index: number, value: string): void {
    if (this.#stored.has(index) || this.tensor(index).data)
      throw invalid(`the tensor ${this.tensor(index).name || index} is computed twice`);
    this.#stored.set(index, value);
    if (!this.#namesakes.has(value)) this.#namesakes.set(value, index);
  }

  constant(tensor: Tensor, namesake?: number): string {
    const numbers = numbersOf(tensor);
    const value = this.#declare({ ...tensor, ...(numbers && { constant: numbers }) }, namesake);
    this.#initializers.set(value, tensor);
    return value;
  }

  ints(values: readonly number[]): string {
    return this.#shared(`ints ${values}`, () => int64Tensor(values));
  }

  scalar(value: number): string {
    return this.#shared(`scalar ${value}`, () => floatTensor([], [value]));
  }

  dims(value: string): readonly number[] {
    return this.#table.shapeOf(value).dims;
  }

  dtype(value: string): DType {
    return this.#table.shapeOf(value).dtype;
  }

  /** The elements of a value that is constant and short. */
  numbers(value: string): readonly number[] | undefined {
    return this.#table.entries().get(value)?.constant;
  }

  tensorOf(value: string): Tensor | undefined {
    return this.#initializers.get(value);
  }

  emit(op: string, inputs: readonly string[], attributes: Attributes = {}): string {
    return this.emitMany(op, inputs, attributes, 1)[0] as string;
  }

  emitMany(op: string, inputs: readonly string[], attributes: Attributes, count: number): string[] {
    const outputs = Array.from({ length: count }, () => this.#fresh());
    const node: Node = { name: '', op, domain: '', inputs, outputs, attributes };
    this.#table.apply(node);
    this.#nodes.push(node);
    return outputs;
  }

  /** The network with the names of the file, in the layout of the file, and the shape of every value. */
  build(): { readonly graph: Graph; readonly shapes: ReadonlyMap<string, Shape> } {
    const variables = [...this.#variables.values()];
    const left = variables.map(({ after }) => this.emit('Identity', [after as string]));
    const outputs = [...this.model.outputs.map((index) => this.#output(index)), ...left];
    const inputs = [
      ...this.model.inputs.map((index) => this.#stored.get(index) as string),
      ...variables.map(({ before }) => before),
    ];
    [...this.#variables.keys()].forEach((index, i) => void this.#left.set(left[i] as string, index));
    const names = this.#finalNames(inputs, outputs);
    const named = (value: string): string => (value === '' ? '' : (names.get(value) as string));
    const info = (value: string) => ({ name: named(value), ...this.#type(value) });
    const graph: Graph = {
      name: this.model.name,
      opset: this.opset,
      inputs: inputs.map(info),
      outputs: outputs.map(info),
      initializers: new Map([...this.#initializers].map(([value, tensor]) => [named(value), tensor])),
      nodes: this.#nodes.map((node) => ({
        ...node,
        name: named(node.outputs[0] as string),
        inputs: node.inputs.map(named),
        outputs: node.outputs.map(named),
      })),
    };
    const shapes = new Map([...names.keys()].map((value) => [named(value), this.#type(value)]));
    return { graph, shapes };
  }

  /** A value of its own for each output: runtimes accept no output that is an input, a constant or another output. */
  #output(index: number): string {
    const value = this.#stored.get(index) ?? this.stored(index);
    const made = this.#nodes.some(({ outputs }) => outputs.includes(value));
    if (made && this.#namesakes.get(value) === index && this.model.outputs.indexOf(index) !== -1) {
      this.#namesakes.delete(value);
      this.#named.set(value, index);
      return value;
    }
    const copy = this.emit('Identity', [value]);
    this.#named.set(copy, index);
    return copy;
  }

  readonly #named = new Map<string, number>();
  /** The variable that an output hands back. */
  readonly #left = new Map<string, number>();

  /** The file's names where they are free: inputs first, then outputs, then the rest in order. */
  #finalNames(inputs: readonly string[], outputs: readonly string[]): Map<string, string> {
    const names = new Map<string, string>();
    const taken = new Set<string>();
    const claim = (value: string, base: string): void => {
      if (names.has(value)) return;
      let name = base;
      for (let i = 1; taken.has(name); i++) name = `${base}_${i}`;
      taken.add(name);
      names.set(value, name);
    };
    const nameOf = (index: number): string => this.tensor(index).name || `tensor_${index}`;
    inputs.forEach((value) => void claim(value, nameOf(this.#namesakes.get(value) as number)));
    for (const value of outputs) {
      const variable = this.#left.get(value);
      claim(
        value,
        variable === undefined ? nameOf(this.#named.get(value) as number) : `${nameOf(variable)}.next`,
      );
    }
    for (const [value, index] of this.#namesakes) claim(value, nameOf(index));
    for (const { op, outputs: made } of this.#nodes) for (const value of made) claim(value, op);
    for (const value of this.#initializers.keys()) claim(value, 'constant');
    return names;
  }

  #type(value: string): Shape {
    const { dtype, dims } = this.#table.shapeOf(value);
    return { dtype, dims };
  }

  #shared(key: string, make: () => Tensor): string {
    const value = this.#small.get(key) ?? this.constant(make());
    this.#small.set(key, value);
    return value;
  }

  #declare(shape: Shape, namesake?: number): string {
    const value = this.#fresh();
    this.#table.declare(value, shape);
    if (namesake !== undefined) this.#namesakes.set(value, namesake);
    return value;
  }

  #fresh(): string {
    this.#values += 1;
    return `${this.#values}`;
  }
}

export const refusal = (what: string, details: Readonly<Record<string, unknown>> = {}): HildaError =>
  new HildaError('OPERATOR_UNSUPPORTED', what, {
    hint: 'Convert the model again without what the message names, or export it as ONNX.',
    details,
  });
