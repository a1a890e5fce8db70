import { elementCount } from '../graph.js';
import { moved, withElements } from './elements.js';
import {
  axisOf,
  intAttribute,
  invalid,
  known,
  ownAttribute,
  type Rule,
  rules,
  unknownShape,
  unsupported,
} from './rule.js';

/** Operators that read or write elements by their indices, or find indices. */

const gather: Rule = (input) => {
  const [x, indices] = [input.shape(0), input.shape(1)];
  const axis = axisOf(input, intAttribute(input.node, 'axis', 0), x.dims.length);
  const dims = [...x.dims.slice(0, axis), ...indices.dims, ...x.dims.slice(axis + 1)];
  const at = input.constant(1);
  const size = x.dims[axis] as number;
  if (!at || !input.constant(0)) return [{ dtype: x.dtype, dims }];
  if (at.some((i) => i < -size || i >= size))
    throw invalid(input, `an index of [${at}] lies outside ${size}`);
  const width = indices.dims.length;
  return [
    moved(input, 0, dims, (index) => {
      const place = index
        .slice(axis, axis + width)
        .reduce((sum, p, i) => sum * (indices.dims[i] as number) + p, 0);
      const chosen = at[place] as number;
      return [...index.slice(0, axis), chosen < 0 ? chosen + size : chosen, ...index.slice(axis + width)];
    }),
  ];
};

const gatherElements: Rule = (input) => {
  const [x, indices] = [input.shape(0), input.shape(1)];
  axisOf(input, intAttribute(input.node, 'axis', 0), x.dims.length);
  if (indices.dims.length !== x.dims.length)
    throw invalid(input, `indices [${indices.dims}] do not fit [${x.dims}]`);
  return [{ dtype: x.dtype, dims: indices.dims }];
};

/** The last axis of the indices holds positions; before opset 12 there are no batch axes. */
const gatherNd: Rule = (input) => {
  const [x, indices] = [input.shape(0), input.shape(1).dims];
  const batch = input.opset < 12 ? 0 : intAttribute(input.node, 'batch_dims', 0);
  const depth = indices.at(-1);
  if (depth === undefined || batch < 0 || batch >= indices.length || batch + depth > x.dims.length)
    throw invalid(input, `indices [${indices}] with ${batch} batch axes do not fit [${x.dims}]`);
  return [{ dtype: x.dtype, dims: [...indices.slice(0, -1), ...x.dims.slice(batch + depth)] }];
};

/** The first input with some elements written over. */
const scatter: Rule = (input) => {
  const { dtype, dims } = input.shape(0);
  return [{ dtype, dims }];
};

const oneHot: Rule = (input) => {
  const indices = input.shape(0).dims;
  const depth = known(input, 1, 'depth')[0];
  const axis = axisOf(input, intAttribute(input.node, 'axis', -1), indices.length + 1);
  if (depth === undefined || depth < 1) throw invalid(input, `the depth is ${depth}`);
  // onnxruntime cuts a fractional depth.
  const dims = [...indices.slice(0, axis), Math.trunc(depth), ...indices.slice(axis)];
  return [{ dtype: input.shape(2).dtype, dims }];
};

/** Without an axis the input is flattened; a condition shorter than the axis drops what is behind it. */
const compress: Rule = (input) => {
  const { dtype, dims } = input.shape(0);
  const chosen = known(input, 1, 'condition').filter((value) => value !== 0).length;
  if (ownAttribute(input.node, 'axis') === undefined) return [{ dtype, dims: [chosen] }];
  const axis = axisOf(input, intAttribute(input.node, 'axis', 0), dims.length);
  return [{ dtype, dims: dims.map((size, i) => (i === axis ? chosen : size)) }];
};

/** Indices of a constant's elements other than 0, one row an axis. */
const nonZero: Rule = (input) => {
  const { dims } = input.shape(0);
  if (dims.length === 0) throw unsupported(input, 'a scalar is not supported: runtimes differ in its rank');
  const values = input.constant(0);
  if (!values) throw unknownShape(input, 'its output is as long as its input has elements other than 0');
  const strides = dims.map((_, axis) => elementCount(dims.slice(axis + 1)));
  const found = values.flatMap((value, i) => (value === 0 ? [] : [i]));
  const rows = dims.flatMap((size, axis) =>
    found.map((i) => Math.floor(i / (strides[axis] as number)) % size),
  );
  return [withElements({ dtype: 'int64', dims: [dims.length, found.length] }, rows)];
};

const byContents: Rule = (input) => {
  throw unknownShape(input, 'the shape of its output follows from the elements of its inputs');
};

/** The elements of a short constant are counted; anything else is known only when it runs. */
const unique: Rule = (input) => {
  const values = input.constant(0);
  if (!values || ownAttribute(input.node, 'axis') !== undefined || values.some(Number.isNaN))
    return byContents(input);
  const count = new Set(values).size;
  const indices = { dtype: 'int64', dims: [count] } as const;
  return [
    { dtype: input.shape(0).dtype, dims: [count] },
    indices,
    { dtype: 'int64', dims: [values.length] },
    indices,
  ];
};

export const indexingRules = [
  ...rules(1, 'Gather', gather),
  ...rules(11, 'GatherElements', gatherElements),
  ...rules(11, 'GatherND', gatherNd),
  ...rules(9, 'Scatter', scatter, 10),
  ...rules(11, 'ScatterElements ScatterND', scatter),
  ...rules(24, 'TensorScatter', scatter),
  ...rules(9, 'OneHot', oneHot),
  ...rules(9, 'Compress', compress),
  ...rules(9, 'NonZero', nonZero),
  ...rules(10, 'NonMaxSuppression', byContents),
  ...rules(11, 'Unique', unique),
];
