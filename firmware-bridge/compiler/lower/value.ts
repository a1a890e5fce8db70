import { elementCount } from '../../../daemon/network/graph.js';
import type { Quantisation } from '../quantise/quantisation.js';
import type { View } from './operators.js';

/** A value of the network as it lies in a storage: strides in bytes by logical axis (int8). */
export interface Value {
  readonly storage: number;
  readonly offset: number;
  readonly dims: readonly number[];
  readonly strides: readonly number[];
  readonly quantisation: Quantisation;
  /** 4 for whole numbers held as int32, little endian (ABI.md, "Whole numbers"); left out: one byte. */
  readonly elementBytes?: 4;
}

/** Bytes that an element of a value takes. */
export const elementBytesOf = ({ elementBytes }: Pick<Value, 'elementBytes'>): number => elementBytes ?? 1;

export const rowMajor = (dims: readonly number[]): number[] =>
  dims.map((_, axis) => elementCount(dims.slice(axis + 1)));

/** Strides of a dense value whose axes lie in `order`, outermost first. */
export function stridesIn(dims: readonly number[], order: readonly number[], elementBytes = 1): number[] {
  const strides = new Array<number>(dims.length).fill(0);
  let stride = elementBytes;
  for (const axis of [...order].reverse()) {
    strides[axis] = stride;
    stride *= dims[axis] as number;
  }
  return strides;
}

/** [1, C, H, W] as H, W, C. */
export const channelsLast = (dims: readonly number[]): number[] => stridesIn(dims, [0, 2, 3, 1]);

/** The axes of a value, outermost in memory first; axes of one element, which lie nowhere, come before all others. */
export function physicalOrder({ dims, strides }: Pick<Value, 'dims' | 'strides'>): number[] {
  const axes = dims.map((_, axis) => axis);
  return [
    ...axes.filter((axis) => dims[axis] === 1),
    ...axes
      .filter((axis) => dims[axis] !== 1)
      .sort((a, b) => (strides[b] as number) - (strides[a] as number) || a - b),
  ];
}

interface Axis {
  readonly size: number;
  readonly stride: number;
}

/** The axes from `order` with those of one element left out and neighbours merged that lie one behind the other. */
export function mergedAxes(value: Pick<Value, 'dims' | 'strides'>, order: readonly number[]): Axis[] {
  const merged: Axis[] = [];
  for (const axis of order) {
    const [size, stride] = [value.dims[axis] as number, value.strides[axis] as number];
    if (size === 1) continue;
    const outer = merged.at(-1);
    if (outer && outer.stride === stride * size)
      merged[merged.length - 1] = { size: outer.size * size, stride };
    else merged.push({ size, stride });
  }
  return merged;
}

/**
 * The value as rows along `axes` (outermost first) of the elements along `inner`, which must lie dense, one behind the
 * other; undefined where its layout is no such thing. The outer axes become rows, with one batch axis at most.
 */
export function rowsAlong(value: Value, axes: readonly number[], inner: readonly number[]): View | undefined {
  const width = inner.reduce((product, axis) => product * (value.dims[axis] as number), 1);
  const last = mergedAxes(value, inner);
  const dense = width === 1 || (last.length === 1 && last[0]?.stride === 1);
  const outer = mergedAxes(value, axes);
  if (!dense || outer.length > 2) return undefined;
  const rows = outer.at(-1) ?? { size: 1, stride: width };
  const batch = outer.length === 2 ? (outer[0] as Axis) : { size: 1, stride: 0 };
  return {
    storage: value.storage,
    offset: value.offset,
    batch: batch.size,
    batchStride: batch.stride,
    rows: rows.size,
    rowStride: rows.stride,
    width,
  };
}

/** Rows over the last logical axis. */
export function rowsOf(value: Value): View | undefined {
  const axes = value.dims.map((_, axis) => axis);
  return rowsAlong(value, axes.slice(0, -1), axes.slice(-1));
}

/** The last two logical axes as a matrix with dense rows, all axes before them as one batch axis. */
export function matrixOf(value: Value): View | undefined {
  const rank = value.dims.length;
  const [rows, width] = [value.dims[rank - 2] as number, value.dims[rank - 1] as number];
  const batch = mergedAxes(value, value.dims.map((_, axis) => axis).slice(0, -2));
  if (batch.length > 1 || (width > 1 && value.strides[rank - 1] !== 1)) return undefined;
  return {
    storage: value.storage,
    offset: value.offset,
    batch: batch[0]?.size ?? 1,
    batchStride: batch[0]?.stride ?? 0,
    rows,
    rowStride: value.strides[rank - 2] as number,
    width,
  };
}

export const isDense = (value: Value): boolean => {
  const merged = mergedAxes(value, physicalOrder(value));
  return merged.length === 0 || (merged.length === 1 && merged[0]?.stride === elementBytesOf(value));
};

/** The same elements under another shape without moving them, where strides allow (as numpy's reshape decides). */
export function reshaped(value: Value, dims: readonly number[]): Value | undefined {
  const from = value.dims
    .map((size, i) => ({ size, stride: value.strides[i] as number }))
    .filter((a) => a.size !== 1);
  const strides = new Array<number>(dims.length).fill(0);
  let at = 0;
  let axis = 0;
  while (axis < dims.length) {
    if (dims[axis] === 1) {
      axis++;
      continue;
    }
    // Take as many old and new axes as hold the same number of elements.
    let [taken, wanted] = [from[at]?.size ?? 1, dims[axis] as number];
    let [oldEnd, newEnd] = [at + 1, axis + 1];
    while (taken !== wanted) {
      if (taken < wanted) taken *= from[oldEnd++]?.size ?? Number.NaN;
      else wanted *= dims[newEnd++] ?? Number.NaN;
      if (Number.isNaN(taken) || Number.isNaN(wanted)) return undefined;
    }
    for (let i = at; i < oldEnd - 1; i++) {
      const [outer, inner] = [from[i], from[i + 1]] as [Axis, Axis];
      if (outer.stride !== inner.stride * inner.size) return undefined;
    }
    let stride = from[oldEnd - 1]?.stride ?? 1;
    for (let i = newEnd - 1; i >= axis; i--) {
      strides[i] = stride;
      stride *= dims[i] as number;
    }
    [at, axis] = [oldEnd, newEnd];
  }
  return { ...value, dims, strides: fillUnitStrides(dims, strides) };
}

/** An axis of one element takes the stride of the axis inside it, so that layouts compare equal. */
function fillUnitStrides(dims: readonly number[], strides: number[]): number[] {
  let inner = 1;
  for (let axis = dims.length - 1; axis >= 0; axis--) {
    if (dims[axis] === 1) strides[axis] = inner;
    inner = Math.max(inner, (strides[axis] as number) * (dims[axis] as number));
  }
  return strides;
}

export const transposed = (value: Value, perm: readonly number[]): Value => ({
  ...value,
  dims: perm.map((axis) => value.dims[axis] as number),
  strides: perm.map((axis) => value.strides[axis] as number),
});
