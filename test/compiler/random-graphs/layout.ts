import type { Draft, NodeDraft } from './draft.js';
import { anyValue } from './elementwise.js';
import type { Attributes } from './model.js';

/** Operators that move elements, with their sizes as attributes or as inputs, as the operator set wants them. */
const size = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);

const reshape = (d: Draft): NodeDraft[] => {
  const x = anyValue(d);
  const dims = d.dims(x);
  let left = size(dims);
  const wanted: number[] = [];
  while (wanted.length < d.int(1, 4)) {
    const factor = d.pick([1, 2, 3, 4, 5, left].filter((f) => left % f === 0));
    wanted.push(factor);
    left /= factor;
  }
  wanted.splice(d.int(0, wanted.length), 0, left);
  if (d.chance(0.4)) wanted[d.int(0, wanted.length - 1)] = -1;
  else if (d.chance(0.3) && wanted[0] === dims[0]) wanted[0] = 0;
  return [d.node('Reshape', [x, d.ints(wanted)])];
};

const flatten = (d: Draft): NodeDraft[] => {
  const x = anyValue(d);
  const rank = d.dims(x).length;
  const axis = d.opset >= 11 && d.chance(0.3) ? -d.int(1, rank) : d.int(0, rank);
  return [d.node('Flatten', [x], d.chance(0.2) ? {} : { axis: { int: axis } })];
};

/** Axes as the attribute that they were before operator set 13, else as an input. */
function withAxes(d: Draft, op: string, x: string, axes: readonly number[]): NodeDraft {
  return d.opset < 13 ? d.node(op, [x], { axes: { ints: axes } }) : d.node(op, [x, d.ints(axes)]);
}

const squeeze = (d: Draft): NodeDraft[] => {
  const x = d.valueOr(
    (dims) => dims.includes(1) && dims.length > 1,
    () => [1, d.int(2, 5), 1, d.int(1, 4)],
  );
  const dims = d.dims(x);
  if (d.chance(0.25)) return [d.node('Squeeze', [x])];
  const ones = dims.flatMap((length, axis) => (length === 1 && d.chance(0.7) ? [axis] : []));
  const axes = ones.length > 0 ? ones : [dims.indexOf(1)];
  return [
    withAxes(d, 'Squeeze', x, d.opset >= 11 && d.chance(0.4) ? axes.map((axis) => axis - dims.length) : axes),
  ];
};

const unsqueeze = (d: Draft): NodeDraft[] => {
  const x = d.valueOr(
    (dims) => dims.length <= 4,
    () => [d.int(1, 4), d.int(1, 6)],
  );
  const rank = d.dims(x).length;
  const axes = d.chance(0.3) ? [0, d.int(1, rank + 1)] : [d.int(0, rank)];
  const total = rank + axes.length;
  return [
    withAxes(d, 'Unsqueeze', x, d.opset >= 11 && d.chance(0.3) ? axes.map((axis) => axis - total) : axes),
  ];
};

const transpose = (d: Draft): NodeDraft[] => {
  const x = anyValue(d);
  const left = d.dims(x).map((_, i) => i);
  const perm = d.dims(x).map(() => left.splice(d.int(0, left.length - 1), 1)[0] as number);
  return [d.node('Transpose', [x], d.chance(0.15) ? {} : { perm: { ints: perm } })];
};

const concat = (d: Draft): NodeDraft[] => {
  const x = anyValue(d);
  const dims = d.dims(x);
  const axis = d.axis(dims.length);
  const at = axis < 0 ? axis + dims.length : axis;
  const fits = (other: readonly number[]): boolean =>
    other.length === dims.length && other.every((length, i) => i === at || length === dims[i]);
  const others = Array.from({ length: d.int(0, 2) }, () => {
    const beside = dims.map((length, i) => (i === at ? d.int(1, 4) : length));
    return d.chance(0.3) ? d.weight(beside, 0.6, x) : (d.value(fits) ?? d.input(beside));
  });
  const all = d.chance(0.5) ? [x, ...others] : [...others, x];
  return [d.node('Concat', all, { axis: { int: axis } })];
};

const split = (d: Draft): NodeDraft[] | undefined => {
  const x = anyValue(d);
  const dims = d.dims(x);
  if (dims.length === 0) return undefined;
  const axis = d.axis(dims.length);
  const length = dims.at(axis) as number;
  const parts = d.int(1, Math.min(3, length));
  const at: Attributes = d.chance(0.8) || axis !== 0 ? { axis: { int: axis } } : {};
  if (length % parts === 0 && d.chance(0.4)) {
    const count: Attributes = d.opset >= 18 ? { num_outputs: { int: parts } } : {};
    return [d.node('Split', [x], { ...at, ...count }, parts)];
  }
  const sizes = Array.from({ length: parts }, () => Math.floor(length / parts));
  sizes[0] = length - sizes.slice(1).reduce((a, b) => a + b, 0);
  return d.opset < 13
    ? [d.node('Split', [x], { ...at, split: { ints: sizes } }, parts)]
    : [d.node('Split', [x, d.ints(sizes)], at, parts)];
};

const slice = (d: Draft): NodeDraft[] | undefined => {
  const x = anyValue(d);
  const dims = d.dims(x);
  if (dims.length === 0) return undefined;
  const axes = dims.flatMap((_, axis) => (d.chance(0.5) ? [axis] : []));
  if (axes.length === 0) axes.push(dims.length - 1);
  const backward = d.opset >= 10 ? axes.map(() => d.chance(0.15)) : axes.map(() => false);
  const starts = axes.map((axis, i) => {
    const length = dims[axis] as number;
    return backward[i] ? d.pick([-1, length - 1]) : d.pick([0, 0, Math.min(1, length - 1), -length, -1]);
  });
  const ends = axes.map((axis, i) => {
    const length = dims[axis] as number;
    return backward[i]
      ? d.pick([-length - 1, -1000])
      : d.pick([length, 2 ** 31 - 1, length + 3, Math.max(1, length - 1)]);
  });
  if (d.opset < 10) {
    return [d.node('Slice', [x], { starts: { ints: starts }, ends: { ints: ends }, axes: { ints: axes } })];
  }
  const named = d.opset >= 11 && d.chance(0.4) ? axes.map((axis) => axis - dims.length) : axes;
  const steps = axes.map((_, i) => (backward[i] ? d.pick([-1, -2]) : d.pick([1, 1, 1, 2])));
  const inputs = [x, d.ints(starts), d.ints(ends), d.ints(named)];
  return [
    d.node('Slice', steps.every((s) => s === 1) && d.chance(0.5) ? inputs : [...inputs, d.ints(steps)]),
  ];
};

const expand = (d: Draft): NodeDraft[] | undefined => {
  if (d.opset < 8) return undefined;
  const x = anyValue(d);
  const dims = d.dims(x);
  const wanted = dims.map((length) =>
    length === 1 && d.chance(0.7) ? d.int(1, 4) : d.chance(0.2) ? 1 : length,
  );
  const front = dims.length < 5 && d.chance(0.2) ? [d.int(1, 2)] : [];
  return [d.node('Expand', [x, d.ints([...front, ...wanted])])];
};

const tile = (d: Draft): NodeDraft[] => {
  const x = anyValue(d);
  return [d.node('Tile', [x, d.ints(d.dims(x).map(() => d.pick([1, 1, 2, 3])))])];
};

const gather = (d: Draft): NodeDraft[] | undefined => {
  const x = anyValue(d);
  const dims = d.dims(x);
  if (dims.length === 0) return undefined;
  const axis = d.axis(dims.length);
  const length = dims.at(axis) as number;
  const index = (): number => (d.opset >= 11 && d.chance(0.3) ? -d.int(1, length) : d.int(0, length - 1));
  const at: Attributes = d.chance(0.85) || axis !== 0 ? { axis: { int: axis } } : {};
  const count = d.pick([0, 1, 2, 3]);
  const data = BigInt64Array.from({ length: Math.max(1, count) }, () => BigInt(index()));
  const indices = count === 0 ? [] : d.chance(0.2) && count === 2 ? [1, 2] : [count];
  return [d.node('Gather', [x, d.constant({ type: 'int64', dims: indices, data })], at)];
};

const nothing = (d: Draft): NodeDraft[] => {
  const x = anyValue(d);
  if (d.chance(0.5)) return [d.node('Identity', [x])];
  const ratio: Attributes = d.opset < 12 && d.chance(0.5) ? { ratio: { float: 0.3 } } : {};
  const inputs = d.opset >= 12 && d.chance(0.5) ? [x, d.floats([0.3], [])] : [x];
  return [d.node('Dropout', inputs, ratio)];
};

/** Sizes computed from the value's own shape, as exporters write them. */
const shapeArithmetic = (d: Draft): NodeDraft[] => {
  const x = d.valueOr(
    (dims) => dims.length >= 2,
    () => [d.int(1, 2), d.int(1, 5), d.int(1, 5)],
  );
  const shape = d.node('Shape', [x]);
  const first = d.node('Gather', [shape.outputs[0] as string, d.ints([0])], { axis: { int: 0 } });
  const wanted = d.node('Concat', [first.outputs[0] as string, d.ints([-1])], { axis: { int: 0 } });
  return [shape, first, wanted, d.node('Reshape', [x, wanted.outputs[0] as string])];
};

export const layoutMakers = [
  reshape,
  flatten,
  squeeze,
  unsqueeze,
  transpose,
  transpose,
  concat,
  concat,
  split,
  slice,
  slice,
  expand,
  tile,
  gather,
  nothing,
  shapeArithmetic,
];
