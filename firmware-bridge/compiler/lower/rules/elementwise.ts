import { elementCount, type Node } from '../../../../daemon/network/graph.js';
import { broadcastIndex } from '../../passes/broadcast.js';
import { clampOf } from '../../passes/fuse-linear.js';
import { activations, lookupTable } from '../../quantise/lookup-table.js';
import { limitsOf, type Quantisation, quantisationOf, quantise } from '../../quantise/quantisation.js';
import { type Lowering, type LoweringRule, nodeName, unsupported } from '../lowering.js';
import type { ConstantOperand, Read, View } from '../operators.js';
import { mergedAxes, physicalOrder, rowsAlong, type Value } from '../value.js';
import { clampAttributes } from './clamp-attributes.js';

/** A function of one value: 256 answers in a table. */
export const unary: LoweringRule = (node, lowering) => {
  const { attributes, op } = node;
  const number = (name: string, fallback: number): number => {
    const value = attributes[name];
    return typeof value === 'number' ? value : fallback;
  };
  const alpha = number('alpha', op === 'HardSigmoid' ? 0.2 : op === 'LeakyRelu' ? 0.01 : 1);
  const parametric: Readonly<Record<string, (x: number) => number>> = {
    LeakyRelu: (x) => (x < 0 ? alpha * x : x),
    Elu: (x) => (x < 0 ? alpha * Math.expm1(x) : x),
    HardSigmoid: (x) => Math.min(1, Math.max(0, alpha * x + number('beta', 0.5))),
  };
  if (op === 'Clip') {
    const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = clampOf(
      { scalar: (name) => lowering.numbers(name)?.[0] },
      node,
    );
    return lookup(node, lowering, 0, (x) => Math.min(max, Math.max(min, x)));
  }
  const tanhGelu = op === 'Gelu' && attributes.approximate === 'tanh';
  const f = parametric[op] ?? activations[tanhGelu ? 'GeluTanh' : op];
  if (!f) throw unsupported(node, 'its function is not known');
  lookup(node, lowering, 0, f);
};

/** Applies f to every element of input i. */
function lookup(node: Node, lowering: Lowering, i: number, f: (x: number) => number): void {
  const name = node.outputs[0] as string;
  const x = lowering.dense(node, lowering.value(node, i));
  const order = physicalOrder(x);
  const y = lowering.allocate(name, x.dims, lowering.quantisation(name), order);
  lowering.emit({
    name: nodeName(node),
    body: { kind: 'lookup', table: lookupTable(f, x.quantisation, y.quantisation) },
    reads: [{ view: elements(x, order), access: 'rows' }],
    write: elements(y, order),
  });
  lowering.define(name, { ...y, dims: lowering.dims(name), strides: sameOrExpanded(y, lowering.dims(name)) });
}

/** A result of more axes of one element than its input has (a scalar constant of higher rank beside it). */
function sameOrExpanded(y: Value, dims: readonly number[]): readonly number[] {
  return [...new Array<number>(dims.length - y.dims.length).fill(elementCount(y.dims)), ...y.strides];
}

/** A value as rows of its innermost axis in memory. */
export const elements = (value: Value, order: readonly number[]): View =>
  rowsAlong(value, order.slice(0, -1), order.slice(-1)) as View;

type Combine = (a: number, b: number) => number;
const combine: Readonly<Record<string, Combine>> = {
  Add: (a, b) => a + b,
  Sub: (a, b) => a - b,
  Mul: (a, b) => a * b,
  Div: (a, b) => a / b,
  Pow: (a, b) => a ** b,
};

/**
 * Add, Sub, Mul and Div of two activations or of one and a constant; with a constant scalar, any of the five as a table. A
 * quotient is a product by the reciprocal.
 */
export const binary: LoweringRule = (node, lowering) => {
  const { op } = node;
  const at = lowering.isActivation(node.inputs[0]) ? 0 : 1;
  const other = node.inputs[1 - at];
  const constant = lowering.isActivation(other) ? undefined : lowering.floats(other);
  const f = combine[op] as Combine;
  if (constant?.length === 1) {
    const c = constant[0] as number;
    const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = clampAttributes(node);
    const clamped = (x: number): number => Math.min(max, Math.max(min, at === 0 ? f(x, c) : f(c, x)));
    return lookup(node, lowering, at, clamped);
  }
  if (!lowering.isActivation(other) && !constant) throw unsupported(node, 'its constant is no float');
  if (op === 'Pow' || ((op === 'Div' || op === 'Sub') && at === 1 && constant))
    throw unsupported(node, 'only a constant scalar can stand there');
  if (op !== 'Div') return arithmetic(node, lowering, at, constant);
  if (constant?.includes(0)) throw unsupported(node, 'it divides by zero');
  if (constant)
    return arithmetic(
      node,
      lowering,
      at,
      constant.map((value) => 1 / value),
    );
  arithmetic(node, lowering, at, undefined, reciprocal(node, lowering));
};

/** 1 / x of the second operand, as a table over the range that was seen of x: it must keep away from zero. */
function reciprocal(node: Node, lowering: Lowering): Value {
  const x = lowering.dense(node, lowering.value(node, 1));
  // Uncalibrated networks answer nonsense anyway: any range that keeps away from zero will do.
  const { min, max } = lowering.range(node.inputs[1] as string) ?? { min: 0.25, max: 4 };
  if (min <= 0 && max >= 0)
    throw unsupported(node, `its divisor was seen between ${min} and ${max}: it may be zero`);
  const order = physicalOrder(x);
  const quantisation = quantisationOf({ min: 1 / max, max: 1 / min });
  const y = lowering.allocate(`${node.outputs[0]}.reciprocal`, x.dims, quantisation, order);
  // What rounds closer to zero than anything seen counts as the closest.
  const f = (value: number): number => 1 / Math.min(max, Math.max(min, value));
  lowering.emit({
    name: nodeName(node),
    body: { kind: 'lookup', table: lookupTable(f, x.quantisation, quantisation) },
    reads: [{ view: elements(x, order), access: 'rows' }],
    write: elements(y, order),
  });
  return y;
}

/** `divisor` stands in for the second operand of a quotient. */
function arithmetic(
  node: Node,
  lowering: Lowering,
  at: number,
  constant: Float32Array | undefined,
  divisor?: Value,
): void {
  const name = node.outputs[0] as string;
  const dims = lowering.dims(name);
  const operand = (i: number): Value => (i === 1 && divisor ? divisor : lowering.value(node, i));
  let [first, second] = [at, 1 - at];
  // The operand of the full shape comes first; Sub keeps its order.
  if (!constant && node.op !== 'Sub' && elementCount(operand(first).dims) < elementCount(dims))
    [first, second] = [second, first];
  const given = operand(first);
  const isFull = elementCount(given.dims) === elementCount(dims);
  const a = isFull ? lowering.dense(node, given) : repeated(node, lowering, given, dims);
  const order = physicalOrder(a);
  const y = lowering.allocate(name, a.dims, lowering.quantisation(name), order);
  const reads: Read[] = [{ view: elements(a, order), access: 'rows' }];
  let constantOf: ConstantOperand | undefined;
  let b: Quantisation;
  if (constant) {
    const full = { ...a, dims: a.dims };
    b = quantisationOf(rangeOf(constant));
    constantOf = constantOperand(constant, lowering.dims(node.inputs[second] as string), full, order, b);
  } else {
    const value = operand(second);
    b = value.quantisation;
    reads.push(secondRead(node, lowering, value, a, order));
  }
  const [low, high] = limitsOf(clampAttributes(node), y.quantisation);
  lowering.emit({
    name: nodeName(node),
    body: {
      kind: node.op === 'Mul' || node.op === 'Div' ? 'mul' : 'add',
      negative: node.op === 'Sub',
      a: a.quantisation,
      b,
      y: y.quantisation,
      low,
      high,
      ...(constantOf && { constant: constantOf }),
    },
    reads,
    write: elements(y, order),
  });
  lowering.define(name, y.dims.length === dims.length ? y : { ...y, dims, strides: sameOrExpanded(y, dims) });
}

const rangeOf = (values: Float32Array): { min: number; max: number } =>
  values.reduce((r, v) => ({ min: Math.min(r.min, v), max: Math.max(r.max, v) }), { min: 0, max: 0 });

/** A value copied along the axes of one element that its partner has more of. */
function repeated(
  node: Node,
  lowering: Lowering,
  value: Value,
  dims: readonly number[],
  order: readonly number[] = dims.map((_, axis) => axis),
): Value {
  const added = dims.length - value.dims.length;
  const strides = dims.map((size, axis) =>
    axis < added || (value.dims[axis - added] === 1 && size > 1)
      ? 0
      : (value.strides[axis - added] as number),
  );
  return lowering.arranged(node, { ...value, dims, strides }, order);
}

/** The second operand laid out as the first: row by row, or one row for all. */
function secondRead(node: Node, lowering: Lowering, value: Value, a: Value, order: readonly number[]): Read {
  const dims = [...new Array<number>(a.dims.length - value.dims.length).fill(1), ...value.dims];
  const b: Value = { ...value, dims, strides: sameOrExpanded(value, dims) };
  if (elementCount(dims) === elementCount(a.dims))
    return { view: elements(lowering.arranged(node, b, order), order), access: 'rows' };
  const inner = order.at(-1) as number;
  const isRow = dims.every((size, axis) => (axis === inner ? size === a.dims[axis] : size === 1));
  const width = dims[inner] as number;
  const dense = mergedAxes(b, [inner]).every((axis) => axis.stride === 1);
  const { rows, batch, batchStride } = elements(a, order);
  if (!isRow || !dense || (batch > 1 && batchStride > 0))
    return { view: elements(repeated(node, lowering, b, a.dims, order), order), access: 'rows' };
  return {
    view: { storage: b.storage, offset: b.offset, batch: 1, batchStride: 0, rows, rowStride: 0, width },
    access: 'all',
  };
}

/** A constant in the memory order of the activation beside it; rows that repeat are kept once. */
function constantOperand(
  constant: Float32Array,
  dims: readonly number[],
  a: Value,
  order: readonly number[],
  quantisation: Quantisation,
): ConstantOperand {
  const from = broadcastIndex(dims, a.dims);
  const logical = a.dims.map((_, axis) => elementCount(a.dims.slice(axis + 1)));
  const width = a.dims[order.at(-1) as number] as number;
  const total = elementCount(a.dims);
  const data = new Int8Array(total);
  for (let i = 0; i < total; i++) {
    let rest = i;
    let index = 0;
    for (let k = order.length - 1; k >= 0; k--) {
      const axis = order[k] as number;
      const size = a.dims[axis] as number;
      index += (rest % size) * (logical[axis] as number);
      rest = Math.floor(rest / size);
    }
    data[i] = quantise(constant[from(index)] as number, quantisation);
  }
  const repeats = data.every((value, i) => value === data[i % width]);
  return repeats ? { data: data.slice(0, width), rowStride: 0 } : { data, rowStride: width };
}
