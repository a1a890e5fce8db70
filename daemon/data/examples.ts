import { elementCount } from '../network/graph.js';
import type { ArraySource, StoredArray } from './contract.js';
import { invalid } from './invalid.js';

/**
 * An array as examples. Without `dims` its first axis counts them. With `dims`, the shape of one example, the array is
 * one example or has one axis more in front; axes of length 1 may be missing or added anywhere. A file without a shape
 * is cut into examples. Throws DATA_INVALID where the array fits none of these or holds no element.
 */
export function examplesOf(array: StoredArray, dims?: readonly number[]): ArraySource {
  const elements = elementCount(array.dims);
  if (elements === 0) throw invalid(`${array.name} has the shape ${shown(array.dims)}: it holds no element`);
  const one = dims ?? array.dims.slice(1);
  const size = elementCount(one);
  const fits =
    dims === undefined ||
    sameBut1(array.dims, dims) ||
    sameBut1(array.dims.slice(1), dims) ||
    (array.shapeless && elements % size === 0);
  if (size === 0 || !fits)
    throw invalid(
      `${array.name} has the shape ${shown(array.dims)}; needed is ${shown(one)}, or several of it stacked`,
    );
  return {
    name: array.name,
    count: elements / size,
    dims: one,
    dtype: array.dtype,
    examples: (from, to) => array.elements(from * size, to * size),
    close: () => array.close(),
  };
}

export const shown = (dims: readonly number[]): string => (dims.length === 0 ? 'scalar' : dims.join(' x '));

/** Whether two shapes differ by axes of length 1 alone. */
export const sameBut1 = (a: readonly number[], b: readonly number[]): boolean => {
  const [p, q] = [a, b].map((dims) => dims.filter((dim) => dim !== 1)) as [number[], number[]];
  return p.length === q.length && p.every((dim, i) => dim === q[i]);
};
