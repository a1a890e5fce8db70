import { elementsFromBytes } from '../core/element-arrays.js';
import { fromBrain, fromHalf } from '../core/half.js';
import { elementCount, type Tensor } from './graph.js';

/** Shapes, axes and scales are short; longer constants are data, not structure. */
export const maxStructuralElements = 1024;

/**
 * The elements of a short constant as numbers, bool as 0 and 1; undefined when it is long, or no dense array of numbers.
 * Integers beyond 2^53 are rounded to the nearest double.
 */
export function numbersOf(tensor: Tensor): readonly number[] | undefined {
  if (elementCount(tensor.dims) > maxStructuralElements) return undefined;
  const elements = elementsFromBytes(tensor.dtype, tensor.data);
  if (!elements) return undefined;
  const convert = converters.get(tensor.dtype) ?? Number;
  return Array.from(elements as ArrayLike<number>, (element) => convert(element));
}

const converters: ReadonlyMap<string, (element: number) => number> = new Map([
  ['bool', (byte: number) => (byte === 0 ? 0 : 1)],
  ['float16', fromHalf],
  ['bfloat16', fromBrain],
]);
