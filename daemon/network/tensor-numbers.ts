import { fromHalf } from '../core/half.js';
import { elementCount, type Tensor } from './graph.js';

/** Shapes, axes and scales are short; longer constants are data, not structure. */
export const maxStructuralElements = 1024;

/**
 * The elements of a short constant as numbers, bool as 0 and 1; undefined when it is long, or no dense array of numbers.
 * Integers beyond 2^53 are rounded to the nearest double.
 */
export function numbersOf(tensor: Tensor): readonly number[] | undefined {
  if (elementCount(tensor.dims) > maxStructuralElements) return undefined;
  // Copied by the constructor, never by slice(): a Buffer's slice shares the memory of its pool.
  const bytes = new Uint8Array(tensor.data);
  const { buffer } = bytes;
  switch (tensor.dtype) {
    case 'int64':
      return [...new BigInt64Array(buffer)].map(Number);
    case 'uint64':
      return [...new BigUint64Array(buffer)].map(Number);
    case 'int32':
      return [...new Int32Array(buffer)];
    case 'uint32':
      return [...new Uint32Array(buffer)];
    case 'int16':
      return [...new Int16Array(buffer)];
    case 'uint16':
      return [...new Uint16Array(buffer)];
    case 'int8':
      return [...new Int8Array(buffer)];
    case 'uint8':
      return [...bytes];
    case 'bool':
      return [...bytes].map((byte) => (byte === 0 ? 0 : 1));
    case 'float32':
      return [...new Float32Array(buffer)];
    case 'float64':
      return [...new Float64Array(buffer)];
    case 'float16':
      return [...new Uint16Array(buffer)].map(fromHalf);
    case 'bfloat16':
      return [...new Uint16Array(buffer)].map(
        (half) => new Float32Array(Uint32Array.of(half * 2 ** 16).buffer)[0] as number,
      );
    default:
      return undefined;
  }
}
