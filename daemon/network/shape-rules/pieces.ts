import { mapIndices, moved, stridesOf, withMoved } from './elements.js';
import {
  attributeSince,
  axesOf,
  axisOf,
  intAttribute,
  intsAttribute,
  invalid,
  known,
  movedInts,
  ownAttribute,
  type Rule,
  type RuleInput,
  type RuleOutput,
  rules,
} from './rule.js';

/** Operators that join, cut and pad along axes. */

const concat: Rule = (input) => {
  const parts = input.node.inputs.map((_, i) => input.shape(i));
  const [first] = parts;
  if (!first) throw invalid(input, 'nothing to concatenate');
  if (input.opset >= 4 && ownAttribute(input.node, 'axis') === undefined)
    throw invalid(input, 'the attribute axis is missing');
  const axis = axisOf(input, intAttribute(input.node, 'axis', 1), first.dims.length);
  for (const { dims } of parts) {
    if (dims.length !== first.dims.length || dims.some((size, i) => i !== axis && size !== first.dims[i]))
      throw invalid(input, `[${dims}] beside [${first.dims}]`);
  }
  const ends: number[] = [];
  for (const { dims } of parts) ends.push((ends.at(-1) ?? 0) + (dims[axis] as number));
  const dims = first.dims.map((size, i) => (i === axis ? (ends.at(-1) as number) : size));
  const constants = input.node.inputs.map((_, i) => input.constant(i));
  const elements =
    constants.every((values) => values !== undefined) &&
    mapIndices(dims, (index) => {
      const place = index[axis] as number;
      const part = ends.findIndex((end) => place < end);
      const strides = stridesOf((parts[part] as RuleOutput).dims);
      const start = part === 0 ? 0 : (ends[part - 1] as number);
      const at = index.reduce((sum, p, i) => sum + (i === axis ? p - start : p) * (strides[i] as number), 0);
      return (constants[part] as readonly number[])[at] as number;
    });
  return [withMoved({ dtype: first.dtype, dims }, elements || undefined)];
};

/** An end that means "through all", in either direction: onnxruntime reads the largest integers so. */
const isThrough = (end: number): boolean => end === 2 ** 31 - 1 || end >= 2 ** 63;

/** Where a slice begins and how many elements it takes; bounds beyond the axis are drawn in. */
function extent(size: number, start: number, end: number, step: number): [from: number, count: number] {
  const clamp = (at: number, low: number, high: number): number =>
    Math.min(Math.max(at < 0 ? at + size : at, low), high);
  const [from, to] =
    step > 0
      ? [clamp(start, 0, size), clamp(end, 0, size)]
      : [clamp(start, 0, size - 1), isThrough(end) ? -1 : clamp(end, -1, size - 1)];
  return [from, Math.max(0, Math.ceil((to - from) / step))];
}

/** Bounds are attributes before opset 10 and inputs from then on. */
const slice: Rule = (input) => {
  const { dims: source } = input.shape(0);
  const starts = movedInts(input, 'starts', 1, 10);
  const ends = movedInts(input, 'ends', 2, 10);
  if (!starts || !ends || starts.length !== ends.length)
    throw invalid(input, `starts [${starts ?? ''}] and ends [${ends ?? ''}] do not pair`);
  const axes = axesOf(input, movedInts(input, 'axes', 3, 10) ?? starts.map((_, i) => i), source.length);
  const steps = input.has(4) ? known(input, 4, 'steps') : starts.map(() => 1);
  if (axes.length !== starts.length || steps.length !== starts.length)
    throw invalid(input, `starts [${starts}], axes [${axes}] and steps [${steps}] do not pair`);
  const dims = [...source];
  const from = source.map(() => 0);
  const step = source.map(() => 1);
  axes.forEach((axis, i) => {
    if (steps[i] === 0) throw invalid(input, 'the step is 0');
    step[axis] = steps[i] as number;
    [from[axis], dims[axis]] = extent(
      source[axis] as number,
      starts[i] as number,
      ends[i] as number,
      step[axis] as number,
    );
  });
  return [
    moved(input, 0, dims, (index) =>
      index.map((at, axis) => (from[axis] as number) + at * (step[axis] as number)),
    ),
  ];
};

/** Sizes of equal parts: before opset 18 they must come out even, from then on the last may be smaller. */
function equalParts(input: RuleInput, size: number, count: number): number[] {
  const wanted = intAttribute(input.node, 'num_outputs', count);
  if (wanted !== count) throw invalid(input, `num_outputs is ${wanted}, the node has ${count} outputs`);
  if (input.opset < 18 && size % count !== 0) throw invalid(input, `${size} does not part into ${count}`);
  const chunk = Math.ceil(size / count);
  const last = size - chunk * (count - 1);
  if (last < 0 || (last === 0 && size > 0)) throw invalid(input, `${size} does not part into ${count}`);
  return Array.from({ length: count }, (_, i) => (i < count - 1 ? chunk : last));
}

const split: Rule = (input) => {
  const { dims: source } = input.shape(0);
  attributeSince(input, 'num_outputs', 18);
  const axis = axisOf(input, intAttribute(input.node, 'axis', 0), source.length);
  const size = source[axis] as number;
  const count = input.node.outputs.length;
  const parts = movedInts(input, 'split', 1, 13) ?? equalParts(input, size, count);
  const wrong = parts.some((part) => part < 0) || parts.reduce((a, b) => a + b, 0) !== size;
  if (parts.length !== count || wrong)
    throw invalid(input, `parts [${parts}] of ${size} for ${count} outputs`);
  let start = 0;
  return parts.map((part) => {
    const offset = start;
    start += part;
    return moved(
      input,
      0,
      source.map((all, i) => (i === axis ? part : all)),
      (index) => index.map((at, i) => (i === axis ? at + offset : at)),
    );
  });
};

/** Negative pads cut. Modes differ in the elements alone. */
const pad: Rule = (input) => {
  const { dtype, dims: source } = input.shape(0);
  const pads = movedInts(input, 'pads', 1, 11);
  const axes = input.has(3) ? axesOf(input, known(input, 3, 'axes'), source.length) : source.map((_, i) => i);
  if (pads?.length !== 2 * axes.length)
    throw invalid(input, `pads [${pads ?? ''}] do not fit ${axes.length} axes`);
  const dims = [...source];
  axes.forEach((axis, i) => {
    dims[axis] = (source[axis] as number) + (pads[i] as number) + (pads[i + axes.length] as number);
  });
  return [{ dtype, dims }];
};

const centerCropPad: Rule = (input) => {
  const { dtype, dims: source } = input.shape(0);
  const axes = axesOf(input, intsAttribute(input.node, 'axes') ?? source.map((_, i) => i), source.length);
  const sizes = known(input, 1, 'sizes (its input 1)');
  if (sizes.length !== axes.length) throw invalid(input, `sizes [${sizes}] do not fit ${axes.length} axes`);
  return [
    { dtype, dims: source.map((size, i) => (axes.includes(i) ? (sizes[axes.indexOf(i)] as number) : size)) },
  ];
};

export const pieceRules = [
  ...rules(1, 'Concat', concat),
  ...rules(1, 'Slice', slice),
  ...rules(2, 'Split', split),
  ...rules(2, 'Pad', pad),
  ...rules(18, 'CenterCropPad', centerCropPad),
];
