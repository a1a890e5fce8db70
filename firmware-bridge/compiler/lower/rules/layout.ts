import { elementCount, type Node } from '../../../../daemon/network/graph.js';
import { axisOf, intAttribute, intsAttribute } from '../../../../daemon/network/shape-rules/rule.js';
import { lookupTable } from '../../quantise/lookup-table.js';
import { type Quantisation, quantise } from '../../quantise/quantisation.js';
import { type Lowering, type LoweringRule, nodeName, unsupported, wholeOf } from '../lowering.js';
import type { Body, View } from '../operators.js';
import {
  mergedAxes,
  physicalOrder,
  reshaped,
  rowMajor,
  rowsAlong,
  transposed,
  type Value,
} from '../value.js';

/** Reshape, Flatten, Squeeze, Unsqueeze: the same bytes under another shape, moved only where their order forbids it. */
export const reshape: LoweringRule = (node, lowering) => {
  const name = node.outputs[0] as string;
  const dims = lowering.dims(name);
  const x = lowering.value(node, 0);
  const rowMajorOrder = x.dims.map((_, axis) => axis);
  const y = reshaped(x, dims) ?? reshaped(lowering.arranged(node, x, rowMajorOrder), dims);
  if (!y) throw unsupported(node, `[${x.dims}] cannot become [${dims}]`);
  lowering.define(name, y);
};

/** Moves no byte: readers of the value walk it in another order. */
export const transpose: LoweringRule = (node, lowering) => {
  const x = lowering.value(node, 0);
  const perm = intsAttribute(node, 'perm') ?? x.dims.map((_, i) => x.dims.length - 1 - i);
  lowering.define(node.outputs[0] as string, transposed(x, perm));
};

export const slice: LoweringRule = (node, lowering) => {
  const x = lowering.value(node, 0);
  const given = (i: number, attribute: string): readonly number[] | undefined =>
    intsAttribute(node, attribute) ?? lowering.numbers(node.inputs[i]);
  const starts = given(1, 'starts') ?? [];
  const axes = given(3, 'axes') ?? starts.map((_, i) => i);
  const steps = given(4, 'steps') ?? starts.map(() => 1);
  let offset = x.offset;
  const strides = [...x.strides];
  starts.forEach((start, i) => {
    const axis = axisOf(node, axes[i] as number, x.dims.length);
    const [size, step] = [x.dims[axis] as number, steps[i] as number];
    if (step < 1) throw unsupported(node, 'it walks backwards');
    offset += Math.min(size, Math.max(0, start < 0 ? start + size : start)) * (x.strides[axis] as number);
    strides[axis] = (x.strides[axis] as number) * step;
  });
  const name = node.outputs[0] as string;
  lowering.define(name, { ...x, offset, strides, dims: lowering.dims(name) });
};

/** Axes of one element repeated: copied, since nothing but a product of matrices reads one row for many. */
export const expand: LoweringRule = (node, lowering) => {
  const x = lowering.value(node, 0);
  const name = node.outputs[0] as string;
  const dims = lowering.dims(name);
  const added = dims.length - x.dims.length;
  const strides = dims.map((size, axis) =>
    axis < added || (x.dims[axis - added] === 1 && size > 1) ? 0 : (x.strides[axis - added] as number),
  );
  const order = dims.map((_, axis) => axis);
  lowering.define(name, lowering.arranged(node, { ...x, dims, strides }, order));
};

export const split: LoweringRule = (node, lowering) => {
  const x = lowering.value(node, 0);
  const axis = axisOf(node, intAttribute(node, 'axis', 0), x.dims.length);
  let at = 0;
  for (const name of node.outputs) {
    const dims = lowering.dims(name);
    lowering.define(name, { ...x, dims, offset: x.offset + at * (x.strides[axis] as number) });
    at += dims[axis] as number;
  }
};

/** Constants among the parts (a class token) come from the program. */
export const concat: LoweringRule = (node, lowering) => {
  const name = node.outputs[0] as string;
  const dims = lowering.dims(name);
  const quantisation = lowering.quantisation(name);
  const parts = node.inputs.map((input, i) => {
    const values = lowering.isActivation(input) ? undefined : lowering.floats(input);
    return values
      ? constant(node, lowering, lowering.dims(input), values, quantisation)
      : lowering.value(node, i);
  });
  const axis = axisOf(node, intAttribute(node, 'axis', 0), dims.length);
  lowering.define(name, joined(node, lowering, parts, { name, axis, dims, quantisation }));
};

/** A constant as a value, images channels last. */
export function constant(
  node: Node,
  lowering: Lowering,
  dims: readonly number[],
  values: Float32Array,
  quantisation: Quantisation,
): Value {
  const value = lowering.allocate(`${node.outputs[0]}.constant`, dims, quantisation);
  const given = rowMajor(dims);
  const data = new Int8Array(values.length);
  values.forEach((real, i) => {
    const at = dims.reduce(
      (sum, size, axis) =>
        sum + (Math.floor(i / (given[axis] as number)) % size) * (value.strides[axis] as number),
      0,
    );
    data[at] = quantise(real, quantisation);
  });
  lowering.emit({ name: nodeName(node), body: { kind: 'constant', data }, reads: [], write: wholeOf(value) });
  return value;
}

/** Each part goes to its place, requantised where the parts' scales differ. */
export function joined(
  node: Node,
  lowering: Lowering,
  parts: readonly Value[],
  {
    name,
    axis,
    dims,
    quantisation,
  }: {
    readonly name: string;
    readonly axis: number;
    readonly dims: readonly number[];
    readonly quantisation: Quantisation;
  },
): Value {
  const y = lowering.allocate(name, dims, quantisation);
  const order = physicalOrder(y);
  const place = order.indexOf(axis);
  // An axis of one element lies nowhere: one part is the whole.
  const outer = place < 0 ? [] : order.slice(0, place);
  const inner = order.slice(outer.length);
  let at = 0;
  for (const given of parts) {
    const x = lowering.arranged(node, given, order);
    const part: Value = { ...y, dims: x.dims, offset: y.offset + at * (y.strides[axis] as number) };
    const [from, to] = [x, part].map((value) => rowsAlong(value, outer, inner)) as [View, View | undefined];
    if (!to || mergedAxes(part, inner).length > 1)
      throw unsupported(node, `it joins [${x.dims}] along axis ${axis}`);
    const same =
      x.quantisation.scale === y.quantisation.scale && x.quantisation.zeroPoint === y.quantisation.zeroPoint;
    const body: Body = same
      ? { kind: 'copy' }
      : { kind: 'lookup', table: lookupTable((v) => v, x.quantisation, y.quantisation) };
    lowering.emit({ name: nodeName(node), body, reads: [{ view: from, access: 'rows' }], write: to });
    at += x.dims[axis] as number;
  }
  return y;
}

/** Everything several times, axis by axis: a transpose whose repeated axis moves on by no byte. */
export const tile: LoweringRule = (node, lowering) => {
  const times = lowering.numbers(node.inputs[1]);
  if (!times) throw unsupported(node, 'its repeats are not constant');
  const name = node.outputs[0] as string;
  let x = lowering.dense(node, lowering.value(node, 0));
  const order = physicalOrder(x);
  for (const [place, axis] of order.entries()) {
    const count = times[axis] as number;
    if (count === 1) continue;
    const inner = order.slice(place).reduce((product, other) => product * (x.dims[other] as number), 1);
    const dims = x.dims.map((size, other) => (other === axis ? size * count : size));
    const y = lowering.allocate(`${name}.${axis}`, dims, x.quantisation, order);
    lowering.emit({
      name: nodeName(node),
      body: {
        kind: 'transpose',
        dims: [elementCount(x.dims) / inner, count, inner],
        strides: [inner, 0, 1],
      },
      reads: [{ view: wholeOf(x), access: 'all' }],
      write: wholeOf(y),
    });
    x = y;
  }
  lowering.define(name, x);
};
