import { elementCount, type Node } from '../../../../daemon/network/graph.js';
import { broadcastIndex } from '../../passes/broadcast.js';
import { type Quantisation, quantise } from '../../quantise/quantisation.js';
import type { Lowering } from '../lowering.js';
import type { ConstantOperand, Read } from '../operators.js';
import { mergedAxes, type Value } from '../value.js';
import { elements, sameOrExpanded } from './unary.js';

/** A value copied along the axes of one element that its partner has more of. */
export function repeated(
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
export function secondRead(
  node: Node,
  lowering: Lowering,
  value: Value,
  a: Value,
  order: readonly number[],
): Read {
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
export function constantOperand(
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
