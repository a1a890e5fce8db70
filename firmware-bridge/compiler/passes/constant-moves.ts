import { elementCount, type Node } from '../../../daemon/network/graph.js';
import { axisOf, intAttribute, intsAttribute } from '../../../daemon/network/shape-rules/rule.js';
import { broadcastIndex } from './broadcast.js';
import { type Constant, elementsFor } from './constant-values.js';

type Values = Constant['values'];
type Move = (
  node: Node,
  inputs: readonly (Constant | undefined)[],
  dims: readonly number[],
) => Values | undefined;

const strideOf = (dims: readonly number[], axis: number): number => elementCount(dims.slice(axis + 1));

/** Elements by a source for each place, given as its index along every axis. */
function picked(
  { dtype, dims, values }: Constant,
  to: readonly number[],
  sources: readonly ((index: number) => number)[],
  strides: readonly number[] = dims.map((_, axis) => strideOf(dims, axis)),
): Values {
  const out = elementsFor(dtype, elementCount(to));
  for (let i = 0; i < out.length; i++) {
    let rest = i;
    let at = 0;
    for (let axis = to.length - 1; axis >= 0; axis--) {
      const size = to[axis] as number;
      at += (sources[axis] as (index: number) => number)(rest % size) * (strides[axis] as number);
      rest = Math.floor(rest / size);
    }
    out[i] = values[at] as number;
  }
  return out;
}

const transpose: Move = (node, [x], dims) => {
  if (!x) return undefined;
  const perm = intsAttribute(node, 'perm') ?? x.dims.map((_, i) => x.dims.length - 1 - i);
  const strides = perm.map((axis) => strideOf(x.dims, axis));
  return picked(
    x,
    dims,
    dims.map(() => (i) => i),
    strides,
  );
};

const expand: Move = (_, [x], dims) => {
  if (!x) return undefined;
  const at = broadcastIndex(x.dims, dims);
  const out = elementsFor(x.dtype, elementCount(dims));
  for (let i = 0; i < out.length; i++) out[i] = x.values[at(i)] as number;
  return out;
};

const tile: Move = (_, [x], dims) =>
  x &&
  picked(
    x,
    dims,
    x.dims.map((size) => (i) => i % size),
  );

const slice: Move = (node, [x, start, , axes, step], dims) => {
  const starts = intsAttribute(node, 'starts') ?? (start && [...start.values]);
  if (!x || !starts || (node.inputs[3] && !axes) || (node.inputs[4] && !step)) return undefined;
  const along = intsAttribute(node, 'axes') ?? (axes ? [...axes.values] : starts.map((_, i) => i));
  const sources = x.dims.map(() => (i: number) => i);
  for (const [k, given] of along.entries()) {
    const axis = axisOf(node, given, x.dims.length);
    const [size, by] = [x.dims[axis] as number, step?.values[k] ?? 1];
    const from = starts[k] as number;
    const first = Math.min(Math.max(from < 0 ? from + size : from, 0), by < 0 ? size - 1 : size);
    sources[axis] = (i) => first + i * by;
  }
  return picked(x, dims, sources);
};

const gather: Move = (node, [x, indices], dims) => {
  if (!x || !indices) return undefined;
  const axis = axisOf(node, intAttribute(node, 'axis', 0), x.dims.length);
  const [size, inner] = [x.dims[axis] as number, strideOf(x.dims, axis)];
  const count = indices.values.length;
  const out = elementsFor(x.dtype, elementCount(dims));
  for (let i = 0; i < out.length; i++) {
    const [outer, rest] = [Math.floor(i / (count * inner)), i % (count * inner)];
    const index = indices.values[Math.floor(rest / inner)] as number;
    if (index < -size || index >= size) return undefined;
    out[i] = x.values[(outer * size + (index < 0 ? index + size : index)) * inner + (rest % inner)] as number;
  }
  return out;
};

const concat: Move = (node, inputs, dims) => {
  const axis = axisOf(node, intAttribute(node, 'axis', 0), dims.length);
  const inner = strideOf(dims, axis);
  const parts = inputs.filter((part) => part !== undefined);
  const [first] = parts;
  if (!first || parts.length !== inputs.length) return undefined;
  const out = elementsFor(first.dtype, elementCount(dims));
  const width = (dims[axis] as number) * inner;
  let at = 0;
  for (const part of parts) {
    const run = (part.dims[axis] as number) * inner;
    for (let i = 0; i < part.values.length; i++)
      out[Math.floor(i / run) * width + at + (i % run)] = part.values[i] as number;
    at += run;
  }
  return out;
};

const trilu: Move = (node, [x, k], dims) => {
  if (!x || (node.inputs[1] && !k)) return undefined;
  const upper = intAttribute(node, 'upper', 1) !== 0;
  const [rows, columns, shift] = [dims.at(-2) as number, dims.at(-1) as number, k?.values[0] ?? 0];
  return x.values.map((value, i) => {
    const ahead = (i % columns) - (Math.floor(i / columns) % rows);
    return (upper ? ahead >= shift : ahead <= shift) ? value : 0;
  });
};

const range: Move = (_, [start, , delta], dims) =>
  start && delta
    ? elementsFor(start.dtype, elementCount(dims)).map(
        (_, i) => (start.values[0] as number) + i * (delta.values[0] as number),
      )
    : undefined;

/** Same elements in the same order under another shape. */
const kept: Move = (_, [x]) => x?.values;

/** Operators that leave the elements in their order. */
export const keepsElements: ReadonlySet<string> = new Set([
  'Identity',
  'Reshape',
  'Flatten',
  'Squeeze',
  'Unsqueeze',
]);

/** Operators that put elements elsewhere. */
export const moves: ReadonlyMap<string, Move> = new Map([
  ...[...keepsElements].map((op): [string, Move] => [op, kept]),
  ['Transpose', transpose],
  ['Expand', expand],
  ['Tile', tile],
  ['Slice', slice],
  ['Gather', gather],
  ['Concat', concat],
  ['Trilu', trilu],
  ['Range', range],
]);

/** The parts that Split cuts a constant into, `sizes` along its axis. */
export function split(node: Node, x: Constant, parts: readonly (readonly number[])[]): Values[] {
  const axis = axisOf(node, intAttribute(node, 'axis', 0), x.dims.length);
  let at = 0;
  return parts.map((dims) => {
    const from = at;
    at += dims[axis] as number;
    return picked(
      x,
      dims,
      dims.map((_, other) => (other === axis ? (i: number) => i + from : (i: number) => i)),
    );
  });
}
