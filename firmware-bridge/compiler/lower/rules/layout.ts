import { axisOf, intAttribute, intsAttribute } from '../../../../daemon/network/shape-rules/rule.js';
import { lookupTable } from '../../quantise/lookup-table.js';
import { type LoweringRule, nodeName, unsupported } from '../lowering.js';
import type { Body, View } from '../operators.js';
import { mergedAxes, physicalOrder, reshaped, rowsAlong, transposed, type Value } from '../value.js';

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

/** Moves no byte: whoever reads the value walks it in another order. */
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

/** Each part goes to its place, requantised where the parts' scales differ. */
export const concat: LoweringRule = (node, lowering) => {
  const name = node.outputs[0] as string;
  const dims = lowering.dims(name);
  const axis = axisOf(node, intAttribute(node, 'axis', 0), dims.length);
  const y = lowering.allocate(name, dims, lowering.quantisation(name));
  const order = physicalOrder(y);
  const place = order.indexOf(axis);
  // An axis of one element lies nowhere: one part is the whole.
  const outer = place < 0 ? [] : order.slice(0, place);
  const inner = order.slice(outer.length);
  let at = 0;
  node.inputs.forEach((_, i) => {
    const given = lowering.value(node, i);
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
  });
  lowering.define(name, y);
};
