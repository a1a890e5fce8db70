import { elementCount, type Tensor } from './graph.js';

/** Shapes, axes and scales are short; longer constants are data, not structure. */
export const maxStructuralElements = 1024;

/** The elements of a short constant as numbers; undefined when it is long or of a type that shapes never have. */
export function numbersOf(tensor: Tensor): readonly number[] | undefined {
  if (elementCount(tensor.dims) > maxStructuralElements) return undefined;
  // Copied by the constructor, never by slice(): a Buffer's slice shares the memory of its pool.
  const { buffer, byteLength } = new Uint8Array(tensor.data);
  switch (tensor.dtype) {
    case 'int64':
      return [...new BigInt64Array(buffer, 0, byteLength / 8)].map(Number);
    case 'int32':
      return [...new Int32Array(buffer, 0, byteLength / 4)];
    case 'float32':
      return [...new Float32Array(buffer, 0, byteLength / 4)];
    default:
      return undefined;
  }
}
