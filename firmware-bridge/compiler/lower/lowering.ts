import { HildaError } from '../../../daemon/core/errors.js';
import { type DType, elementCount, floatsOf, type Graph, type Node } from '../../../daemon/network/graph.js';
import { numbersOf } from '../../../daemon/network/tensor-numbers.js';
import type { Prepared } from '../passes/prepare.js';
import type { ChannelMeans } from '../quantise/channel-means.js';
import type { ConstantGrid } from '../quantise/constant-grid.js';
import { type Behind, fitted } from '../quantise/fitted.js';
import { narrowed } from '../quantise/narrowed.js';
import { coarsened, type Quantisation, quantisationOf, type Range } from '../quantise/quantisation.js';
import { nodeName, unsupported } from '../unsupported.js';
import { wholeForm } from './element-forms.js';
import { FixedGrids } from './fixed-grids.js';
import { moveAxes } from './move-axes.js';
import type { Operator, Storage, View } from './operators.js';
import { type Real, type TableFunction, tableFunction } from './table-function.js';
import {
  channelsLast,
  elementBytesOf,
  isDense,
  mergedAxes,
  physicalOrder,
  rowMajor,
  stridesIn,
  type Value,
} from './value.js';

export { nodeName, unsupported };

/** A table that has not been emitted: a function of a value, which a function behind it may take in. */
export interface Waiting {
  readonly x: Value;
  readonly f: Real;
  /** Emits the table, and defines the value. */
  readonly emit: () => void;
}

/** Operators whose results hang on which of their elements are largest. */
const decidesByLargest = new Set([
  'Softmax',
  'LogSoftmax',
  'ArgMax',
  'ArgMin',
  'ReduceMax',
  'ReduceMin',
  'GlobalMaxPool',
  'MaxPool',
]);

/** What a lowering rule sees and fills: the network's values as they lie in storages, and the operators so far. */
export class Lowering {
  readonly storages: Storage[] = [];
  readonly operators: Operator[] = [];
  readonly graph: Graph;
  /** What the network's own pairs say. */
  readonly fixed: FixedGrids;
  readonly #prepared: Prepared;
  readonly #ranges: ReadonlyMap<string, Range> | undefined;
  readonly #values = new Map<string, Value>();
  readonly #waiting = new Map<string, Waiting>();
  readonly #readers = new Map<string, Node[]>();
  readonly #chosen = new Map<string, Quantisation>();

  /** Without ranges every activation takes one from -4 to 4: right for latency, meaningless for accuracy. */
  constructor(prepared: Prepared, ranges: ReadonlyMap<string, Range> | undefined) {
    this.#prepared = prepared;
    this.graph = prepared.graph;
    this.#ranges = ranges;
    this.fixed = new FixedGrids(prepared);
    for (const node of prepared.graph.nodes)
      for (const name of new Set(node.inputs))
        this.#readers.set(name, [...(this.#readers.get(name) ?? []), node]);
  }

  /** The operator set that the network's nodes are read by. */
  get opset(): number {
    return this.graph.opset;
  }

  dims(name: string): readonly number[] {
    const { shapes, made } = this.#prepared;
    const shape = this.graph.initializers.get(name) ?? made.get(name) ?? shapes.get(name);
    if (!shape) throw new HildaError('INTERNAL', `the shape of ${name} was lost`);
    return shape.dims;
  }

  dtype(name: string): DType {
    if (this.#prepared.made.has(name)) return 'float32';
    const shape = this.graph.initializers.get(name) ?? this.#prepared.shapes.get(name);
    if (!shape) throw new HildaError('INTERNAL', `the type of ${name} was lost`);
    return shape.dtype;
  }

  /** The type of an input or output of the network, as its user knows it. */
  portType(name: string): DType {
    return this.#prepared.portTypes.get(name) ?? this.dtype(name);
  }

  /** The value of an activation; a constant where an activation is needed has none. */
  value(node: Node, i: number): Value {
    const name = node.inputs[i] ?? '';
    this.takeWaiting(name)?.emit();
    const value = this.#values.get(name);
    if (value) return value;
    if (!name) throw unsupported(node, `its input ${i} is left out`);
    throw unsupported(node, `its input ${i} is a constant where only an activation can stand`);
  }

  isActivation(name: string | undefined): boolean {
    return name !== undefined && (this.#values.has(name) || this.#waiting.has(name));
  }

  isConstant(name: string | undefined): boolean {
    return name !== undefined && this.graph.initializers.has(name);
  }

  /** The function that a node computes of one value; undefined where it computes none. */
  table(node: Node): TableFunction | undefined {
    return tableFunction(node, this);
  }

  /** Whether a value goes nowhere but into a table, which reads it in steps that nothing fixes. */
  goesIntoTable(name: string): boolean {
    const next = this.onlyReader(name);
    const input = next && !this.fixed.of(name) ? this.table(next)?.input : undefined;
    return input !== undefined && next?.inputs[input] === name;
  }

  /** Keeps a table that is not emitted unless its result is asked for as a value. */
  wait(name: string, table: Waiting): void {
    this.#waiting.set(name, table);
  }

  /** The table that a value waits for; it is the caller's from then on. */
  takeWaiting(name: string | undefined): Waiting | undefined {
    const found = name === undefined ? undefined : this.#waiting.get(name);
    if (found) this.#waiting.delete(name as string);
    return found;
  }

  define(name: string, value: Value): Value {
    this.#values.set(name, value);
    return value;
  }

  floats(name: string | undefined): Float32Array | undefined {
    const tensor = name === undefined ? undefined : this.graph.initializers.get(name);
    return tensor?.dtype === 'float32' ? floatsOf(tensor) : undefined;
  }

  numbers(name: string | undefined): readonly number[] | undefined {
    const tensor = name === undefined ? undefined : this.graph.initializers.get(name);
    return tensor && numbersOf(tensor);
  }

  /** The steps that a constant was given in; undefined for one that was given in real numbers. */
  gridOf(name: string | undefined): ConstantGrid | undefined {
    return name === undefined ? undefined : this.#prepared.grids.get(name);
  }

  /** The scale of each output of a layer whose weights the network gave as integers, outputs along `axis`. */
  weightScales(node: Node, name: string, axis: number): Float32Array | undefined {
    const grid = this.gridOf(name);
    const outputs = this.dims(name)[axis] as number;
    if (!grid) return undefined;
    if (grid.axis === undefined) return new Float32Array(outputs).fill(grid.scales[0] as number);
    if (grid.axis === axis) return grid.scales;
    throw unsupported(
      node,
      `its weights ${name} have a scale for each place along axis ${grid.axis}: one for each output can run`,
    );
  }

  /** Whether a node reads a value, or the network answers it. */
  isRead(name: string): boolean {
    return this.#readers.has(name) || this.graph.outputs.some((output) => output.name === name);
  }

  /** The elements of a short constant of whole numbers; undefined for any other. */
  integers(name: string | undefined): readonly number[] | undefined {
    const tensor = name === undefined ? undefined : this.graph.initializers.get(name);
    return tensor?.dtype === 'int64' || tensor?.dtype === 'int32' ? numbersOf(tensor) : undefined;
  }

  /** The node that alone reads a value. */
  onlyReader(name: string): Node | undefined {
    const readers = this.#readers.get(name) ?? [];
    const isOutput = this.graph.outputs.some((output) => output.name === name);
    return readers.length === 1 && !isOutput ? readers[0] : undefined;
  }

  /**
   * Quantisation of an activation by its calibrated range; that of the joined value for what is only joined, which saves a
   * rounding and a step. Throws QUANTISATION_FAILED where there is none.
   */
  quantisation(name: string): Quantisation {
    const fixed = this.fixed.of(name);
    if (fixed) return fixed;
    const next = this.onlyReader(name);
    if (next?.op === 'Concat') return this.quantisation(next.outputs[0] as string);
    if (!this.#ranges) return quantisationOf({ min: -4, max: 4 });
    const range = this.range(name);
    if (!range || !Number.isFinite(range.min) || !Number.isFinite(range.max))
      throw new HildaError(
        'QUANTISATION_FAILED',
        `the calibration gave no finite range for the value ${name}`,
        {
          details: { value: name, range },
        },
      );
    const known = this.#chosen.get(name);
    if (known) return known;
    const isInput = this.graph.inputs.some((input) => input.name === name);
    const behind = isInput ? undefined : this.#behind(name);
    const whole = behind ? narrowed(range, behind.f, behind.y) : range;
    const chosen = quantisationOf(isInput || !this.#mayBeCut(name) ? whole : fitted(whole, range, behind));
    this.#chosen.set(name, chosen);
    return chosen;
  }

  /** Whether far elements of a value may be cut off: not where they are answers, or the largest is looked for. */
  #mayBeCut(name: string): boolean {
    const readers = this.#readers.get(name) ?? [];
    if (this.graph.outputs.some((output) => output.name === name)) return false;
    return !readers.some(({ op }) => decidesByLargest.has(op));
  }

  /** What the tables that alone read a value make of it, in the steps of the last. */
  #behind(name: string): Behind | undefined {
    if (!this.goesIntoTable(name)) return undefined;
    const next = this.onlyReader(name) as Node;
    const { f } = this.table(next) as TableFunction;
    const output = next.outputs[0] as string;
    const further = this.#behind(output);
    return further ? { f: (x) => further.f(f(x)), y: further.y } : { f, y: this.quantisation(output) };
  }

  /** The same for what is computed in steps of `step`, which may be coarser than the calibrated range asks for. */
  quantisationFor(name: string, step: number): Quantisation {
    const fixed = this.fixed.of(name);
    return fixed ?? coarsened(this.quantisation(name), step);
  }

  /** What calibration saw of an activation; undefined where nothing was calibrated. */
  range(name: string): Range | undefined {
    const ranges = this.#ranges;
    return (
      ranges?.get(name) ?? (ranges && this.#prepared.made.get(name)?.range?.((value) => this.range(value)))
    );
  }

  /** What calibration saw each channel of a value to be on average; undefined where it did not look along this axis. */
  means(name: string, axis: number): ChannelMeans | undefined {
    const channels = this.#ranges?.get(name)?.channels;
    if (channels?.axis !== axis || !channels.mean.every(Number.isFinite)) return undefined;
    return { exact: channels.mean, rounded: channels.rounded ?? channels.mean };
  }

  /** The steps in which values lie, by name. */
  held(): ReadonlyMap<string, Quantisation> {
    return new Map(
      [...this.#values]
        .filter(([, value]) => elementBytesOf(value) === 1)
        .map(([name, { quantisation }]) => [name, quantisation]),
    );
  }

  /** A new dense value in a storage of its own, axes in `order` from the outside in (default: images channels last). */
  allocate(
    name: string,
    dims: readonly number[],
    quantisation: Quantisation,
    order?: readonly number[],
  ): Value {
    const strides = order ? stridesIn(dims, order) : dims.length === 4 ? channelsLast(dims) : rowMajor(dims);
    const storage: Storage = { id: this.storages.length, name, bytes: elementCount(dims) };
    this.storages.push(storage);
    return { storage: storage.id, offset: 0, dims, strides, quantisation };
  }

  /** A new dense row-major value of whole numbers, four bytes each. */
  allocateWhole(name: string, dims: readonly number[]): Value {
    const storage: Storage = { id: this.storages.length, name, bytes: 4 * elementCount(dims) };
    this.storages.push(storage);
    const strides = rowMajor(dims).map((stride) => 4 * stride);
    return { storage: storage.id, offset: 0, dims, strides, quantisation: wholeForm, elementBytes: 4 };
  }

  /** A number that no loop had before. */
  nextLoop(): number {
    return this.operators.reduce((most, { loop }) => Math.max(most, loop?.id ?? -1), -1) + 1;
  }

  emit(operator: Operator): void {
    this.operators.push(operator);
  }

  /** The value dense, its axes in `order`: itself, or a copy. */
  arranged(node: Node, value: Value, order: readonly number[]): Value {
    const wide = elementBytesOf(value);
    const wanted = stridesIn(value.dims, order, wide);
    const fits = value.dims.every((size, axis) => size === 1 || value.strides[axis] === wanted[axis]);
    if (fits) return value;
    const name = `${node.outputs[0]}.arranged`;
    const copy =
      wide === 1
        ? this.allocate(name, value.dims, value.quantisation, order)
        : { ...this.allocateWhole(name, value.dims), strides: wanted };
    const sizes = order.filter((axis) => value.dims[axis] !== 1);
    const each = sizes.map((axis) => ({
      size: value.dims[axis] as number,
      stride: value.strides[axis] as number,
    }));
    // The bytes of an element move together. Neighbours that stay together count as one where there are too many.
    const bytes = wide > 1 ? [{ size: wide, stride: 1 }] : [];
    const axes = [...(each.length + bytes.length > 4 ? mergedAxes(value, sizes) : each), ...bytes];
    const steps = moveAxes(axes, wholeOf(value), wholeOf(copy));
    if (!steps) throw unsupported(node, `it moves ${axes.length} axes of [${value.dims}] at once`);
    for (const step of steps) this.emit({ name: nodeName(node), ...step });
    return copy;
  }

  /** The view that `take` finds in a value, or in a row-major copy of it where its own layout has none. */
  view(node: Node, value: Value, take: (value: Value) => View | undefined): View {
    const direct = take(value);
    if (direct) return direct;
    const copy = take(
      this.arranged(
        node,
        value,
        value.dims.map((_, axis) => axis),
      ),
    );
    if (!copy)
      throw unsupported(node, `it needs the layout of [${value.dims}] in a form that cannot be made`);
    return copy;
  }

  /** The value dense, in any order of axes. */
  dense(node: Node, value: Value): Value {
    return isDense(value) ? value : this.arranged(node, value, physicalOrder(value));
  }
}

/** All bytes a value spans, as one row. */
export function wholeOf(value: Value): View {
  const span = value.dims.reduce(
    (sum, size, axis) => sum + (size - 1) * (value.strides[axis] as number),
    elementBytesOf(value),
  );
  return {
    storage: value.storage,
    offset: value.offset,
    batch: 1,
    batchStride: 0,
    rows: 1,
    rowStride: span,
    width: span,
  };
}

export type LoweringRule = (node: Node, lowering: Lowering) => void;
