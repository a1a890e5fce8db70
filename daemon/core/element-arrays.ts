/** Elements of a dense tensor in memory; half precision as its bits, bool as 0 and 1. */
export type ElementArray =
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

/** The array that holds elements of a type, by ONNX's and onnxruntime's name of the type. */
export const elementArrays: ReadonlyMap<string, new (buffer: ArrayBuffer) => ElementArray> = new Map<
  string,
  new (
    buffer: ArrayBuffer,
  ) => ElementArray
>([
  ['float32', Float32Array],
  ['float64', Float64Array],
  ['float16', Uint16Array],
  ['bfloat16', Uint16Array],
  ['int8', Int8Array],
  ['uint8', Uint8Array],
  ['int16', Int16Array],
  ['uint16', Uint16Array],
  ['int32', Int32Array],
  ['uint32', Uint32Array],
  ['int64', BigInt64Array],
  ['uint64', BigUint64Array],
  ['bool', Uint8Array],
]);

/** Little-endian bytes as elements: a copy, so that alignment does not matter. Undefined for types without an array. */
export function elementsFromBytes(type: string, bytes: Uint8Array): ElementArray | undefined {
  const Elements = elementArrays.get(type);
  // By the constructor, never by slice(): a Buffer's slice shares the memory of its pool.
  return Elements && new Elements(new Uint8Array(bytes).buffer);
}
