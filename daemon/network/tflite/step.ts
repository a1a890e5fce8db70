import type { DType } from '../graph.js';
import { type Attributes, type Conversion, isQuantised, refusal, storedRange } from './conversion.js';
import type { Table } from './flat.js';
import { invalid } from './invalid.js';
import type { TfliteOperator, TfliteTensor } from './model.js';
import { activationNames } from './schema.js';

/** How one operator of TensorFlow Lite is converted. */
export interface Rule {
  /** The type of its options, as in `optionNames`. */
  readonly options: string;
  /** How many fields of the options are understood; one behind them is refused where it is set. */
  readonly fields: number;
  /** The newest version that is understood. */
  readonly newest: number;
  /** Least and greatest number of inputs. */
  readonly inputs: readonly [number, number];
  readonly convert: (step: Step) => void;
}

export type Rules = Readonly<Record<string, Rule>>;

export const rule = (
  options: string,
  fields: number,
  newest: number,
  inputs: readonly [number, number],
  convert: (step: Step) => void,
): Rule => ({ options, fields, newest, inputs, convert });

/** An operator being converted: what it reads, what its options say, and what it gives. */
export class Step {
  readonly conversion: Conversion;
  readonly operator: TfliteOperator;
  readonly #index: number;

  constructor(conversion: Conversion, operator: TfliteOperator, index: number) {
    this.conversion = conversion;
    this.operator = operator;
    this.#index = index;
  }

  get label(): string {
    const { name, version, outputs } = this.operator;
    const output = this.conversion.model.tensors[outputs[0] ?? -1]?.name;
    return `operator ${this.#index} (${name}, version ${version}${output ? `, output ${output}` : ''})`;
  }

  refuse(why: string): never {
    const { name, version } = this.operator;
    throw refusal(`${this.label}: ${why}`, { operator: name, version });
  }

  invalid(why: string): never {
    throw invalid(`${this.label}: ${why}`);
  }

  /** Whether an optional input is there. */
  has(input: number): boolean {
    return (this.operator.inputs[input] ?? -1) >= 0;
  }

  index(input: number): number {
    const index = this.operator.inputs[input] ?? -1;
    if (index < 0) this.invalid(`input ${input} is missing`);
    return index;
  }

  input(input: number): TfliteTensor {
    return this.conversion.tensor(this.index(input));
  }

  output(k = 0): TfliteTensor {
    return this.conversion.tensor(this.operator.outputs[k] ?? -1);
  }

  /** An input to compute with: dequantised where it has scales. */
  read(input: number): string {
    return this.conversion.real(this.index(input));
  }

  /** An input that must be float32 once dequantised. */
  float(input: number): string {
    const value = this.read(input);
    const dtype = this.conversion.dtype(value);
    if (dtype !== 'float32') this.refuse(`input ${input} of ${dtype} without scales is not supported`);
    return value;
  }

  /** An input as the file stores it. */
  stored(input: number): string {
    return this.conversion.stored(this.index(input));
  }

  dims(input: number): readonly number[] {
    return this.conversion.dims(this.stored(input));
  }

  dimsOf(value: string): readonly number[] {
    return this.conversion.dims(value);
  }

  /** The whole numbers of an input that must be constant. */
  ints(input: number, what: string): readonly number[] {
    const value = this.stored(input);
    const dtype = this.conversion.dtype(value);
    if (dtype !== 'int32' && dtype !== 'int64')
      this.refuse(`it needs ${what} as int32 or int64, not ${dtype}`);
    return this.conversion.numbers(value) ?? this.refuse(`it needs constant ${what}`);
  }

  /** The one whole number of an input that must be constant. */
  int(input: number, what: string): number {
    const values = this.ints(input, what);
    if (values.length !== 1) this.invalid(`${what} has ${values.length} elements`);
    return values[0] as number;
  }

  /** An axis counted from the front. */
  axis(axis: number, rank: number): number {
    const positive = axis < 0 ? axis + rank : axis;
    if (!(positive >= 0 && positive < rank)) this.invalid(`the axis ${axis} lies outside rank ${rank}`);
    return positive;
  }

  option<T>(read: (table: Table) => T, initial: T): T {
    return this.operator.options ? read(this.operator.options) : initial;
  }

  intOption(field: number, initial = 0): number {
    return this.option((table) => table.int(field, initial), initial);
  }

  boolOption(field: number): boolean {
    return this.option((table) => table.bool(field), false);
  }

  byteOption(field: number): number {
    return this.option((table) => table.byte(field), 0);
  }

  emit(op: string, inputs: readonly string[], attributes: Attributes = {}): string {
    return this.conversion.emit(op, inputs, attributes);
  }

  ints64(values: readonly number[]): string {
    return this.conversion.ints(values);
  }

  reshape(value: string, dims: readonly number[]): string {
    const same = this.dimsOf(value);
    if (same.length === dims.length && same.every((size, i) => size === dims[i])) return value;
    return this.emit('Reshape', [value, this.ints64(dims)], dims.includes(0) ? { allowzero: 1 } : {});
  }

  transpose(value: string, perm: readonly number[]): string {
    return this.emit('Transpose', [value], { perm });
  }

  cast(value: string, dtype: DType): string {
    if (this.conversion.dtype(value) === dtype) return value;
    const to = castNumbers.get(dtype);
    if (to === undefined) this.refuse(`casts to ${dtype} are not supported`);
    return this.emit('Cast', [value], { to });
  }

  /** Reduces along axes; from operator set 18 on (Sum: 13) they are an input. */
  reduce(op: string, value: string, axes: readonly number[], keep: boolean): string {
    const keepdims = keep ? 1 : 0;
    return op === 'ReduceSum' || this.conversion.opset >= 18
      ? this.emit(op, [value, this.ints64(axes)], { keepdims })
      : this.emit(op, [value], { axes, keepdims });
  }

  /** Hands over an output: activated, and rounded to its scale where it has one. */
  give(
    value: string,
    { k = 0, activation = 0 }: { readonly k?: number; readonly activation?: number } = {},
  ): void {
    const index = this.operator.outputs[k];
    if (index === undefined) this.invalid(`output ${k} is missing`);
    const tensor = this.conversion.tensor(index);
    if (tensor.refused) this.refuse(`its output ${tensor.name}: ${tensor.refused}`);
    const quantised = isQuantised(tensor) && this.conversion.dtype(value) === 'float32';
    let made = quantised && this.#saturates(tensor, activation) ? value : this.activate(value, activation);
    if (quantised) {
      if (tensor.quantisation?.scales.length !== 1)
        this.refuse('an output with scales by channel is not supported');
      made = this.emit('QuantizeLinear', [made, ...this.conversion.parameters(index)]);
    }
    const { dtype, dims } = { dtype: this.conversion.dtype(made), dims: this.dimsOf(made) };
    if (dtype !== tensor.dtype)
      this.refuse(
        `its output of ${tensor.type}${isQuantised(tensor) ? '' : ' without scales'} is not supported`,
      );
    // Where dimensions are open the file states what TensorFlow Lite computes anew; old files leave shapes out.
    const open = tensor.dims.length === 0 || this.conversion.model.tensors.some((other) => other.open);
    if (!open && `${dims}` !== `${tensor.dims}`)
      this.invalid(`its output has the shape [${dims}], the file says [${tensor.dims}]`);
    this.conversion.define(index, made);
  }

  activate(value: string, activation: number): string {
    const name = activationNames[activation] ?? `${activation}`;
    if (name === 'NONE') return value;
    const dtype = this.conversion.dtype(value);
    if (dtype !== 'float32') this.refuse(`the activation ${name} of ${dtype} is not supported`);
    const clip = (low: number, high: number): string =>
      this.emit('Clip', [value, this.conversion.scalar(low), this.conversion.scalar(high)]);
    switch (name) {
      case 'RELU':
        return this.emit('Relu', [value]);
      case 'RELU6':
        return clip(0, 6);
      case 'RELU_N1_TO_1':
        return clip(-1, 1);
      case 'TANH':
        return this.emit('Tanh', [value]);
      default:
        return this.refuse(`the activation ${name} is not supported`);
    }
  }

  /** Whether rounding to the output's scale already cuts where the activation would. */
  #saturates(tensor: TfliteTensor, activation: number): boolean {
    const bounds = new Map([
      ['NONE', [-Infinity, Infinity]],
      ['RELU', [0, Infinity]],
      ['RELU6', [0, 6]],
      ['RELU_N1_TO_1', [-1, 1]],
    ]).get(activationNames[activation] ?? '');
    const { scales, zeroPoints } = tensor.quantisation ?? { scales: [1], zeroPoints: [0] };
    const [low, high] = storedRange(tensor);
    const rounded = bounds?.map(
      (bound) => Math.round(bound / (scales[0] as number)) + (zeroPoints[0] as number),
    );
    return rounded !== undefined && (rounded[0] as number) <= low && (rounded[1] as number) >= high;
  }
}

/** TensorProto.DataType numbers (onnx.proto3). */
const castNumbers: ReadonlyMap<DType, number> = new Map([
  ['float32', 1],
  ['uint8', 2],
  ['int8', 3],
  ['uint16', 4],
  ['int16', 5],
  ['int32', 6],
  ['int64', 7],
  ['bool', 9],
  ['float16', 10],
  ['float64', 11],
  ['uint32', 12],
  ['uint64', 13],
]);
