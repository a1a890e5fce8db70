import type { DType } from '../network/graph.js';
import { fromFloat16, toFloat16 } from './float16.js';
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
export type Elements =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

interface Kind {
  /** In a file. */
  readonly bytes: number;
  readonly array: new (buffer: ArrayBuffer) => Elements;
  /** Whole numbers that the type holds, both ends included; null for floats. */
  readonly whole: readonly [bigint, bigint] | null;
}

const signed = (bits: bigint): readonly [bigint, bigint] => [-(1n << (bits - 1n)), (1n << (bits - 1n)) - 1n];
const unsigned = (bits: bigint): readonly [bigint, bigint] => [0n, (1n << bits) - 1n];

const kinds: ReadonlyMap<NumericType, Kind> = new Map<NumericType, Kind>([
  ['float16', { bytes: 2, array: Uint16Array, whole: null }],
  ['float32', { bytes: 4, array: Float32Array, whole: null }],
  ['float64', { bytes: 8, array: Float64Array, whole: null }],
  ['int8', { bytes: 1, array: Int8Array, whole: signed(8n) }],
  ['uint8', { bytes: 1, array: Uint8Array, whole: unsigned(8n) }],
  ['int16', { bytes: 2, array: Int16Array, whole: signed(16n) }],
  ['uint16', { bytes: 2, array: Uint16Array, whole: unsigned(16n) }],
  ['int32', { bytes: 4, array: Int32Array, whole: signed(32n) }],
  ['uint32', { bytes: 4, array: Uint32Array, whole: unsigned(32n) }],
  ['int64', { bytes: 8, array: BigInt64Array, whole: signed(64n) }],
  ['uint64', { bytes: 8, array: BigUint64Array, whole: unsigned(64n) }],
  ['bool', { bytes: 1, array: Uint8Array, whole: unsigned(1n) }],
]);

const kindOf = (dtype: NumericType): Kind => kinds.get(dtype) as Kind;

export const isNumericType = (dtype: string): dtype is NumericType => kinds.has(dtype as NumericType);

/** Bytes of one element in a file. */
export const elementBytes = (dtype: NumericType): number => kindOf(dtype).bytes;

/** The elements of a file's bytes. `what` names them in messages. Throws DATA_INVALID for a bool that is neither 0 nor 1. */
export function decodeElements(
  bytes: Uint8Array,
  dtype: NumericType,
  { bigEndian = false, what }: { readonly bigEndian?: boolean; readonly what: string },
): Elements {
  const { bytes: size, array } = kindOf(dtype);
  const own = new Uint8Array(bytes);
  if (bigEndian && size > 1)
    for (let at = 0; at < own.length; at += size) own.subarray(at, at + size).reverse();
  const elements = new array(own.buffer);
  if (dtype === 'bool' && own.some((value) => value > 1))
    throw invalid(`${what}: a bool element is neither 0 nor 1`);
  return dtype === 'float16' ? Float32Array.from(elements as Uint16Array, fromFloat16) : elements;
}

/** Elements as a file holds them, little endian: the inverse of `decodeElements`. */
export function encodeElements(elements: Elements, dtype: NumericType): Uint8Array {
  const stored = dtype === 'float16' ? Uint16Array.from(elements as Float32Array, toFloat16) : elements;
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
  const target = kindOf(to);
  const big = elements instanceof BigInt64Array || elements instanceof BigUint64Array;
  const fromFloat = kindOf(from).whole === null;
  const refuse = (i: number): never => {
    throw invalid(`${what}: element ${i} is ${elements[i]}, which ${to} cannot hold`);
  };
  if (target.whole === null) {
    const floats = to === 'float64' ? new Float64Array(elements.length) : new Float32Array(elements.length);
    for (let i = 0; i < elements.length; i++) {
      const value = Number(elements[i]);
      const rounded = to === 'float16' ? fromFloat16(toFloat16(value)) : value;
      floats[i] = rounded;
      const kept = floats[i] as number;
      if (fromFloat ? Number.isFinite(value) && !Number.isFinite(kept) : !same(elements[i], kept)) refuse(i);
    }
    return floats;
  }
  const [least, most] = target.whole;
  const whole = Array.from({ length: elements.length }, (_, i): bigint => {
    const value = elements[i] as number | bigint;
    if (!big && !Number.isSafeInteger(value)) return refuse(i);
    const exact = BigInt(value);
    return exact < least || exact > most ? refuse(i) : exact;
  });
  if (to === 'int64') return BigInt64Array.from(whole);
  if (to === 'uint64') return BigUint64Array.from(whole);
  const converted = new target.array(new ArrayBuffer(whole.length * target.bytes)) as Uint8Array;
  for (let i = 0; i < whole.length; i++) converted[i] = Number(whole[i]);
  return converted;
}

const same = (value: number | bigint | undefined, float: number): boolean =>
  typeof value === 'bigint' ? Number.isFinite(float) && BigInt(float) === value : float === value;
