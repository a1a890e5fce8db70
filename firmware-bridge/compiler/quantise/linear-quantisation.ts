import { type DType, elementCount, floatsOf, type Node, type Tensor } from '../../../daemon/network/graph.js';
import { intAttribute } from '../../../daemon/network/shape-rules/rule.js';
import { unsupported } from '../unsupported.js';
import type { Quantisation } from './quantisation.js';

/** The scales and zero points of a QuantizeLinear or DequantizeLinear: one for all, or one each along `axis`. */
export interface LinearQuantisation {
  readonly scales: Float32Array;
  readonly zeroPoints: Int32Array;
  /** Of the quantised value, from the front; undefined where one scale is everybody's. */
  readonly axis: number | undefined;
}

type ConstantOf = (name: string) => Tensor | undefined;

/**
 * Reads the parameters of a pair's node (ONNX operator specification, QuantizeLinear and DequantizeLinear, 10 to 23).
 * Throws OPERATOR_UNSUPPORTED where scales or zero points are no constants, or come block by block.
 */
export function linearQuantisation(node: Node, rank: number, constant: ConstantOf): LinearQuantisation {
  const [, scaleName = '', zeroName = ''] = node.inputs;
  const scale = constant(scaleName);
  const zero = zeroName ? constant(zeroName) : undefined;
  if (scale?.dtype !== 'float32') throw unsupported(node, 'it needs a constant scale of a float type');
  if (zeroName && !zero) throw unsupported(node, 'it needs a constant zero point');
  if (intAttribute(node, 'block_size', 0) !== 0 || scale.dims.length > 1)
    throw unsupported(
      node,
      `it has a scale for each block (block_size ${intAttribute(node, 'block_size', 0)}): one for all, or one for each channel can run`,
    );
  if (![0, 1].includes(intAttribute(node, 'precision', 0)))
    throw unsupported(
      node,
      `its precision is of type ${intAttribute(node, 'precision', 0)}: float32 can run`,
    );
  const scales = floatsOf(scale);
  const count = elementCount(scale.dims);
  if (zero && elementCount(zero.dims) !== count)
    throw unsupported(node, `it has ${count} scales and ${elementCount(zero.dims)} zero points`);
  if (!scales.every((value) => value > 0 && Number.isFinite(value)))
    throw unsupported(node, 'its scale is not above zero');
  const zeroPoints = zero ? integersOf(zero) : new Int32Array(count);
  if (!zeroPoints)
    throw unsupported(node, `its zero point has the type ${zero?.dtype}: int8 and uint8 can run`);
  const axis = intAttribute(node, 'axis', 1);
  return { scales, zeroPoints, axis: count === 1 ? undefined : axis < 0 ? axis + rank : axis };
}

/** The quantisation of an activation as a board holds it: int8, what is uint8 in ONNX shifted by 128. */
export function activationQuantisation(
  node: Node,
  dtype: DType,
  rank: number,
  constant: ConstantOf,
): Quantisation {
  if (dtype !== 'int8' && dtype !== 'uint8')
    throw unsupported(node, `it quantises an activation to ${dtype}: int8 and uint8 can run`);
  const { scales, zeroPoints, axis } = linearQuantisation(node, rank, constant);
  if (axis !== undefined)
    throw unsupported(node, `it has ${scales.length} scales: an activation takes one for all its elements`);
  const shift = dtype === 'uint8' ? 128 : 0;
  return { scale: scales[0] as number, zeroPoint: (zeroPoints[0] as number) - shift };
}

/** The elements of a constant of an integer type that quantised networks hold; undefined for any other. */
export function integersOf({ dtype, data }: Tensor): Int32Array | undefined {
  // Copied by the constructor, never by slice(): a Buffer's slice shares the memory of its pool.
  const { buffer } = new Uint8Array(data);
  if (dtype === 'int8') return Int32Array.from(new Int8Array(buffer));
  if (dtype === 'uint8') return Int32Array.from(new Uint8Array(buffer));
  return dtype === 'int32' ? new Int32Array(buffer) : undefined;
}

/** The index of an element's scale: by its place along `axis` of a tensor of shape `dims`. */
export function scaleIndex(dims: readonly number[], axis: number | undefined): (i: number) => number {
  if (axis === undefined) return () => 0;
  const inner = elementCount(dims.slice(axis + 1));
  const size = dims[axis] as number;
  return (i) => Math.floor(i / inner) % size;
}
