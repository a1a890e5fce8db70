import { elementCount } from '../network/graph.js';
import type { ByteSource, StoredArray } from './contract.js';
import { decodeElements, elementBytes, type NumericType } from './elements.js';
import { invalid } from './invalid.js';

/** Elements one behind the other, little endian, without any header. Throws DATA_INVALID where a part of one is left. */
export function rawArray(bytes: ByteSource, dtype: NumericType, dims?: readonly number[]): StoredArray {
  const { name } = bytes;
  const size = elementBytes(dtype);
  if (bytes.size % size !== 0)
    throw invalid(`${name} holds ${bytes.size} bytes: no whole number of ${dtype} elements`);
  const count = bytes.size / size;
  if (dims && elementCount(dims) !== count)
    throw invalid(
      `${name} holds ${count} ${dtype} elements, but ${dims.join(' x ')} takes ${elementCount(dims)}`,
    );
  return {
    name,
    dtype,
    dims: dims ?? [count],
    shapeless: dims === undefined,
    elements: async (from, to) =>
      decodeElements(await bytes.read(from * size, (to - from) * size), dtype, { what: name }),
    close: () => bytes.close(),
  };
}
