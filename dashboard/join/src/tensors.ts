import type { Tensor as OrtTensor } from 'onnxruntime-common';
import { fromHalf } from '../../../daemon/core/half.js';
import type { TypedTensor } from './wire.js';
import type { Ort } from './worker.js';

const arrays: Readonly<Record<string, new (buffer: ArrayBuffer) => ArrayBufferView>> = {
  float32: Float32Array,
  float64: Float64Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
  float16: Uint16Array,
};

/** A tensor of the runtime from bytes. Throws for a type that the runtime takes no tensors of. */
export function tensorOf(ort: Ort, { name, type, dims, bytes }: TypedTensor): OrtTensor {
  const Elements = arrays[type];
  if (!Elements) throw new Error(`input "${name}" has the type ${type}, which pages are not fed with`);
  return new ort.Tensor(type, new Elements(new Uint8Array(bytes).buffer), dims);
}

/** Elements as float32, as far as it holds them. */
export const valuesOf = ({ type, data }: OrtTensor): Float32Array =>
  type === 'float16' && data instanceof Uint16Array
    ? Float32Array.from(data, fromHalf)
    : Float32Array.from(data as ArrayLike<number>, Number);
