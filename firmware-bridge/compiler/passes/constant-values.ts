import { elementArrays, elementsFromBytes } from '../../../daemon/core/element-arrays.js';
import { fromBrain, fromHalf, toHalf } from '../../../daemon/core/half.js';
import { bytesPerElement, type DType, floatsOf, type Tensor } from '../../../daemon/network/graph.js';

/** A constant by its elements as numbers: float32 in a Float32Array, everything else in a Float64Array. */
export interface Constant {
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly values: Float32Array | Float64Array;
}

/** The elements of a tensor; undefined for types that no arithmetic of ours knows. */
export function constantOf(tensor: Tensor): Constant | undefined {
  const { dtype, dims } = tensor;
  if (dtype === 'float32') return { dtype, dims, values: floatsOf(tensor) };
  const elements = elementsFromBytes(dtype, tensor.data);
  if (!elements) return undefined;
  const convert = dtype === 'float16' ? fromHalf : dtype === 'bfloat16' ? fromBrain : Number;
  return { dtype, dims, values: Float64Array.from(elements as ArrayLike<number>, (x) => convert(x)) };
}

/** The tensor of a constant. Whole numbers beyond 64 bits become the nearest that fit. */
export function tensorOf({ dtype, dims, values }: Constant): Tensor | undefined {
  const of = (array: {
    readonly buffer: ArrayBufferLike;
    byteOffset: number;
    byteLength: number;
  }): Tensor => ({
    dtype,
    dims,
    data: new Uint8Array(array.buffer, array.byteOffset, array.byteLength),
  });
  if (dtype === 'float32') return of(values instanceof Float32Array ? values : Float32Array.from(values));
  if (dtype === 'bool') return of(Uint8Array.from(values, (value) => (value === 0 ? 0 : 1)));
  if (dtype === 'int64')
    return of(BigInt64Array.from([...values].map((v) => limited(v, -(2n ** 63n), 2n ** 63n - 1n))));
  if (dtype === 'uint64')
    return of(BigUint64Array.from([...values].map((v) => limited(v, 0n, 2n ** 64n - 1n))));
  if (dtype === 'float16') return of(Uint16Array.from(values, toHalf));
  const Elements = dtype === 'bfloat16' ? undefined : elementArrays.get(dtype);
  if (!Elements) return undefined;
  const elements = new Elements(new ArrayBuffer(values.length * bytesPerElement[dtype])) as Float64Array;
  elements.set(values);
  return of(elements);
}

const limited = (value: number, low: bigint, high: bigint): bigint => {
  const whole = BigInt(Math.trunc(value));
  return whole < low ? low : whole > high ? high : whole;
};

/** A result of arithmetic as its type holds it. */
export function roundTo(dtype: DType, value: number): number {
  switch (dtype) {
    case 'float32':
      return Math.fround(value);
    case 'float16':
      return fromHalf(toHalf(value));
    case 'int32':
      return value | 0;
    case 'bool':
      return value === 0 ? 0 : 1;
    default:
      return value;
  }
}

export const isFloating = (dtype: DType): boolean =>
  dtype === 'float32' || dtype === 'float16' || dtype === 'float64';

/** Room for the elements of a constant. */
export const elementsFor = (dtype: DType, count: number): Float32Array | Float64Array =>
  dtype === 'float32' ? new Float32Array(count) : new Float64Array(count);
