import { elementCount } from '../graph.js';
import { maxStructuralElements, numbersOf } from '../tensor-numbers.js';
import {
  axisOf,
  intAttribute,
  intsAttribute,
  invalid,
  isTensor,
  type Rule,
  type RuleInput,
  unknownShape,
} from './rule.js';

const known = (input: RuleInput, i: number, what: string): readonly number[] => {
  const values = input.constant(i);
  if (!values) throw unknownShape(input.node, `${what} is`);
  return values;
};

const reshape: Rule = (input) => {
  const { node } = input;
  const x = input.shape(0);
  const keepZero = intAttribute(node, 'allowzero', 0) === 1;
  const dims = known(input, 1, 'the new shape').map((size, i) =>
    size === 0 && !keepZero ? (x.dims[i] ?? 0) : size,
  );
  const open = dims.indexOf(-1);
  const total = elementCount(x.dims);
  if (open >= 0)
    dims[open] = total / dims.reduce((product, size) => (size === -1 ? product : product * size), 1);
  if (elementCount(dims) !== total || dims.some((size) => !Number.isInteger(size)))
    throw invalid(node, `[${x.dims}] cannot become [${dims}]`);
  const constant = input.constant(0);
  return [{ dtype: x.dtype, dims, ...(constant && { constant }) }];
};

const flatten: Rule = (input) => {
  const x = input.shape(0);
  const axis = intAttribute(input.node, 'axis', 1);
  const at = axis < 0 ? axis + x.dims.length : axis;
  return [{ dtype: x.dtype, dims: [elementCount(x.dims.slice(0, at)), elementCount(x.dims.slice(at))] }];
};

const transpose: Rule = (input) => {
  const x = input.shape(0);
  const order = intsAttribute(input.node, 'perm') ?? x.dims.map((_, i) => x.dims.length - 1 - i);
  if (order.length !== x.dims.length) throw invalid(input.node, `perm [${order}] does not fit [${x.dims}]`);
  return [{ dtype: x.dtype, dims: order.map((axis) => x.dims[axis] as number) }];
};

const axesOf = (input: RuleInput): readonly number[] | undefined =>
  intsAttribute(input.node, 'axes') ?? (input.has(1) ? known(input, 1, 'axes') : undefined);

const squeeze: Rule = (input) => {
  const x = input.shape(0);
  const axes = axesOf(input)?.map((axis) => axisOf(input.node, axis, x.dims.length));
  const constant = input.constant(0);
  return [
    {
      dtype: x.dtype,
      dims: x.dims.filter((size, i) => (axes ? !axes.includes(i) : size !== 1)),
      ...(constant && { constant }),
    },
  ];
};

const unsqueeze: Rule = (input) => {
  const x = input.shape(0);
  const axes = axesOf(input) ?? [];
  const dims = [...x.dims];
  for (const axis of axes
    .map((a) => axisOf(input.node, a, x.dims.length + axes.length))
    .sort((a, b) => a - b))
    dims.splice(axis, 0, 1);
  const constant = input.constant(0);
  return [{ dtype: x.dtype, dims, ...(constant && { constant }) }];
};

const concat: Rule = (input) => {
  const { node } = input;
  const parts = node.inputs.map((_, i) => input.shape(i));
  const first = parts[0];
  if (!first) throw invalid(node, 'nothing to concatenate');
  const axis = axisOf(node, intAttribute(node, 'axis', 0), first.dims.length);
  for (const { dims } of parts) {
    if (dims.length !== first.dims.length || dims.some((size, i) => i !== axis && size !== first.dims[i]))
      throw invalid(node, `[${dims}] beside [${first.dims}]`);
  }
  const constants = node.inputs.map((_, i) => input.constant(i));
  const dims = first.dims.map((size, i) =>
    i === axis ? parts.reduce((sum, part) => sum + (part.dims[i] as number), 0) : size,
  );
  const constant =
    first.dims.length === 1 &&
    (dims[0] as number) <= maxStructuralElements &&
    constants.every((values) => values !== undefined)
      ? { constant: constants.flat() as number[] }
      : {};
  return [{ dtype: first.dtype, dims, ...constant }];
};

const slice: Rule = (input) => {
  const { node } = input;
  const x = input.shape(0);
  const starts = intsAttribute(node, 'starts') ?? known(input, 1, 'starts');
  const ends = intsAttribute(node, 'ends') ?? known(input, 2, 'ends');
  const axes =
    intsAttribute(node, 'axes') ?? (input.has(3) ? known(input, 3, 'axes') : starts.map((_, i) => i));
  const steps = input.has(4) ? known(input, 4, 'steps') : starts.map(() => 1);
  const dims = [...x.dims];
  let constant = x.dims.length === 1 ? input.constant(0) : undefined;
  starts.forEach((start, i) => {
    const axis = axisOf(node, axes[i] as number, x.dims.length);
    const size = x.dims[axis] as number;
    const step = steps[i];
    if (!step) throw invalid(node, 'the step is 0');
    const clamp = (at: number, low: number, high: number): number =>
      Math.min(Math.max(at < 0 ? at + size : at, low), high);
    const [from, to] =
      step > 0
        ? [clamp(start, 0, size), clamp(ends[i] as number, 0, size)]
        : [clamp(start, 0, size - 1), clamp(ends[i] as number, -1, size - 1)];
    dims[axis] = Math.max(0, Math.ceil((to - from) / step));
    constant =
      constant &&
      Array.from({ length: dims[axis] as number }, (_, k) => constant?.[from + k * step] as number);
  });
  return [{ dtype: x.dtype, dims, ...(constant && { constant }) }];
};

const split: Rule = (input) => {
  const { node } = input;
  const x = input.shape(0);
  const axis = axisOf(node, intAttribute(node, 'axis', 0), x.dims.length);
  const size = x.dims[axis] as number;
  const count = node.outputs.length;
  const chunk = Math.ceil(size / count);
  const given = intsAttribute(node, 'split') ?? (input.has(1) ? known(input, 1, 'split') : undefined);
  const parts = given ?? Array.from({ length: count }, (_, i) => Math.min(chunk, size - i * chunk));
  if (parts.length !== count || parts.reduce((a, b) => a + b, 0) !== size)
    throw invalid(node, `parts [${parts}] of ${size} for ${count} outputs`);
  return parts.map((part) => ({ dtype: x.dtype, dims: x.dims.map((d, i) => (i === axis ? part : d)) }));
};

const pad: Rule = (input) => {
  const { node } = input;
  const x = input.shape(0);
  const pads = intsAttribute(node, 'pads') ?? known(input, 1, 'pads');
  const axes = input.has(3)
    ? known(input, 3, 'axes').map((a) => axisOf(node, a, x.dims.length))
    : x.dims.map((_, i) => i);
  const dims = [...x.dims];
  axes.forEach((axis, i) => {
    dims[axis] = (x.dims[axis] as number) + (pads[i] as number) + (pads[i + axes.length] as number);
  });
  return [{ dtype: x.dtype, dims }];
};

const gather: Rule = (input) => {
  const x = input.shape(0);
  const indices = input.shape(1).dims;
  const axis = axisOf(input.node, intAttribute(input.node, 'axis', 0), x.dims.length);
  const values = x.dims.length === 1 ? input.constant(0) : undefined;
  const at = values && input.constant(1);
  const constant =
    values && indices.length <= 1 && at?.map((i) => values[i < 0 ? i + values.length : i] as number);
  return [
    {
      dtype: x.dtype,
      dims: [...x.dims.slice(0, axis), ...indices, ...x.dims.slice(axis + 1)],
      ...(constant && { constant }),
    },
  ];
};

const expand: Rule = (input) => {
  const x = input.shape(0);
  const target = known(input, 1, 'the new shape');
  const rank = Math.max(x.dims.length, target.length);
  const at = (dims: readonly number[], i: number): number => dims[i - rank + dims.length] ?? 1;
  return [
    { dtype: x.dtype, dims: Array.from({ length: rank }, (_, i) => Math.max(at(x.dims, i), at(target, i))) },
  ];
};

const tile: Rule = (input) => {
  const x = input.shape(0);
  const repeats = known(input, 1, 'repeats');
  return [{ dtype: x.dtype, dims: x.dims.map((size, i) => size * (repeats[i] ?? 1)) }];
};

const shape: Rule = (input) => {
  const { dims } = input.shape(0);
  const constant = dims.slice(
    intAttribute(input.node, 'start', 0),
    intAttribute(input.node, 'end', dims.length),
  );
  return [{ dtype: 'int64', dims: [constant.length], constant }];
};

const constant: Rule = ({ node }) => {
  const {
    value,
    value_ints: ints,
    value_int: int,
    value_floats: floats,
    value_float: float,
  } = node.attributes;
  if (isTensor(value)) {
    const numbers = numbersOf(value);
    return [{ dtype: value.dtype, dims: value.dims, ...(numbers && { constant: numbers }) }];
  }
  if (typeof int === 'number') return [{ dtype: 'int64', dims: [], constant: [int] }];
  if (typeof float === 'number') return [{ dtype: 'float32', dims: [], constant: [float] }];
  if (Array.isArray(ints)) return [{ dtype: 'int64', dims: [ints.length], constant: ints as number[] }];
  if (Array.isArray(floats))
    return [{ dtype: 'float32', dims: [floats.length], constant: floats as number[] }];
  throw invalid(node, 'holds no supported value');
};

const constantOfShape: Rule = (input) => {
  const { value } = input.node.attributes;
  return [{ dtype: isTensor(value) ? value.dtype : 'float32', dims: known(input, 0, 'the shape') }];
};

export const layoutRules: Readonly<Record<string, Rule>> = {
  Reshape: reshape,
  Flatten: flatten,
  Transpose: transpose,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Concat: concat,
  Slice: slice,
  Split: split,
  Pad: pad,
  Gather: gather,
  Expand: expand,
  Tile: tile,
  Shape: shape,
  Constant: constant,
  ConstantOfShape: constantOfShape,
};
