import { type ElementArray, elementsFromBytes } from '../core/element-arrays.js';
import { fromHalf, toHalf } from '../core/half.js';
import { bytesPerElement, type DType } from '../network/graph.js';
import { invalid } from './invalid.js';

/** Element types that data files hold. */
export type NumericType = Extract<
  DType,
  | 'float16'
  | 'float32'
  | 'float64'
  | 'int8'
  | 'uint8'
  | 'int16'
  | 'uint16'
  | 'int32'
  | 'uint32'
  | 'int64'
  | 'uint64'
  | 'bool'
>;

/** Elements in memory: float16 as Float32Array, bool as Uint8Array of 0 and 1. */
export type Elements = ElementArray;

/** Least and greatest whole number of a type; null for floats. */
type Whole = readonly [least: bigint, most: bigint] | null;

const signed = (bits: bigint): Whole => [-(1n << (bits - 1n)), (1n << (bits - 1n)) - 1n];
const unsigned = (bits: bigint): Whole => [0n, (1n << bits) - 1n];

const wholes: ReadonlyMap<NumericType, Whole> = new Map<NumericType, Whole>([
  ['float16', null],
  ['float32', null],
  ['float64', null],
  ['int8', signed(8n)],
  ['uint8', unsigned(8n)],
  ['int16', signed(16n)],
  ['uint16', unsigned(16n)],
  ['int32', signed(32n)],
  ['uint32', unsigned(32n)],
  ['int64', signed(64n)],
  ['uint64', unsigned(64n)],
  ['bool', unsigned(1n)],
]);

const wholeOf = (dtype: NumericType): Whole => wholes.get(dtype) ?? null;

export const isNumericType = (dtype: string): dtype is NumericType => wholes.has(dtype as NumericType);

/** Bytes of one element in a file. */
export const elementBytes = (dtype: NumericType): number => bytesPerElement[dtype];

/** The elements of a file's bytes. `what` names them in messages. Throws DATA_INVALID for a bool that is neither 0 nor 1. */
export function decodeElements(
  bytes: Uint8Array,
  dtype: NumericType,
  { bigEndian = false, what }: { readonly bigEndian?: boolean; readonly what: string },
): Elements {
  const size = elementBytes(dtype);
  const own = new Uint8Array(bytes);
  if (bigEndian && size > 1)
    for (let at = 0; at < own.length; at += size) own.subarray(at, at + size).reverse();
  const elements = elementsFromBytes(dtype, own) as Elements;
  if (dtype === 'bool' && own.some((value) => value > 1))
    throw invalid(`${what}: a bool element is neither 0 nor 1`);
  return dtype === 'float16' ? Float32Array.from(elements as Uint16Array, fromHalf) : elements;
}

/** Elements as a file holds them, little endian: the inverse of `decodeElements`. */
export function encodeElements(elements: Elements, dtype: NumericType): Uint8Array {
  const stored = dtype === 'float16' ? Uint16Array.from(elements as Float32Array, toHalf) : elements;
  return new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
}

/**
 * Elements in another type. Floats round to the nearest float of the new type; every other element must keep its value.
 * Throws DATA_INVALID naming the first one that the new type cannot hold.
 */
export function convertElements(
  elements: Elements,
  from: NumericType,
  to: NumericType,
  what: string,
): Elements {
  if (from === to) return elements;
  const target = wholeOf(to);
  const big = elements instanceof BigInt64Array || elements instanceof BigUint64Array;
  const fromFloat = wholeOf(from) === null;
  const refuse = (i: number): never => {
    throw invalid(`${what}: element ${i} is ${elements[i]}, which ${to} cannot hold`);
  };
  if (target === null) {
    const floats = to === 'float64' ? new Float64Array(elements.length) : new Float32Array(elements.length);
    for (let i = 0; i < elements.length; i++) {
      const value = Number(elements[i]);
      const rounded = to === 'float16' ? fromHalf(toHalf(value)) : value;
      floats[i] = rounded;
      const kept = floats[i] as number;
      if (fromFloat ? Number.isFinite(value) && !Number.isFinite(kept) : !same(elements[i], kept)) refuse(i);
    }
    return floats;
  }
  const [least, most] = target;
  if (!big && elementBytes(to) < 8) {
    const [low, high] = [Number(least), Number(most)];
    const numbers = elementsFromBytes(to, new Uint8Array(elements.length * elementBytes(to))) as Uint8Array;
    for (let i = 0; i < elements.length; i++) {
      const value = elements[i] as number;
      if (!Number.isInteger(value) || value < low || value > high) refuse(i);
      numbers[i] = value;
    }
    return numbers;
  }
  const whole = Array.from({ length: elements.length }, (_, i): bigint => {
    const value = elements[i] as number | bigint;
    if (!big && !Number.isSafeInteger(value)) return refuse(i);
    const exact = BigInt(value);
    return exact < least || exact > most ? refuse(i) : exact;
  });
  if (to === 'int64') return BigInt64Array.from(whole);
  if (to === 'uint64') return BigUint64Array.from(whole);
  const converted = elementsFromBytes(to, new Uint8Array(whole.length * elementBytes(to))) as Uint8Array;
  for (let i = 0; i < whole.length; i++) converted[i] = Number(whole[i]);
  return converted;
}

const same = (value: number | bigint | undefined, float: number): boolean =>
  typeof value === 'bigint' ? Number.isFinite(float) && BigInt(float) === value : float === value;
