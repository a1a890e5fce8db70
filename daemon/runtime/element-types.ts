import { elementArrays, elementsFromBytes } from '../core/element-arrays.js';
import { HildaError } from '../core/errors.js';
import { fromHalf, toHalf } from '../core/half.js';
import { bytesPerElement } from '../network/graph.js';
import type { ElementData, ElementType } from './messages.js';

/** Least and greatest of the integer types that numbers hold exactly. */
const integerRanges: ReadonlyMap<string, readonly [number, number]> = new Map([
  ['int8', [-128, 127]],
  ['uint8', [0, 255]],
  ['int16', [-32768, 32767]],
  ['uint16', [0, 65535]],
  ['int32', [-(2 ** 31), 2 ** 31 - 1]],
  ['uint32', [0, 2 ** 32 - 1]],
  ['int64', [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER]],
  ['uint64', [0, Number.MAX_SAFE_INTEGER]],
  ['bool', [0, 1]],
]);

/** What onnxruntime-node takes no tensors of. */
const unfed = new Set(['bfloat16']);

/** Whether the runtime's binding takes tensors of this type. */
export const isElementType = (type: string): type is ElementType =>
  type === 'string' || (elementArrays.has(type) && !unfed.has(type));

export const isWhole = (type: ElementType): boolean => integerRanges.has(type);

/**
 * `count` elements of a type from numbers. Throws REQUEST_INVALID for a number that the type does not hold: a fraction or
 * one beyond the range of an integer type, any number for text.
 */
export function elementsOf(type: ElementType, count: number, at: (i: number) => number): ElementData {
  const range = integerRanges.get(type);
  const checked = (i: number): number => {
    const value = at(i);
    if (range && !(Number.isInteger(value) && value >= range[0] && value <= range[1]))
      throw new HildaError('REQUEST_INVALID', `${value} is no value of the type ${type}`, {
        hint: `It holds whole numbers from ${range[0]} to ${range[1]}.`,
      });
    return value;
  };
  switch (type) {
    case 'string':
      throw new HildaError('REQUEST_INVALID', 'numbers are no values of the type string');
    case 'int64':
      return BigInt64Array.from({ length: count }, (_, i) => BigInt(checked(i)));
    case 'uint64':
      return BigUint64Array.from({ length: count }, (_, i) => BigInt(checked(i)));
    case 'float16':
      return Uint16Array.from({ length: count }, (_, i) => toHalf(checked(i)));
    case 'bool':
      return Uint8Array.from({ length: count }, (_, i) => checked(i));
    default: {
      const data = elementsFromBytes(type, new Uint8Array(count * bytesPerElement[type])) as Float64Array;
      for (let i = 0; i < count; i++) data[i] = checked(i);
      return data;
    }
  }
}

/** All zero, empty text, or false. */
export const zeros = (type: ElementType, count: number): ElementData =>
  type === 'string' ? Array.from({ length: count }, () => '') : elementsOf(type, count, () => 0);

/** Elements as float32, as far as it holds them; text is read as a number. */
export function floatsFrom(type: ElementType, data: ElementData): Float32Array {
  if (data instanceof Float32Array) return data;
  if (type === 'float16') return Float32Array.from(data as Uint16Array, fromHalf);
  return Float32Array.from(data as ArrayLike<unknown>, Number);
}
