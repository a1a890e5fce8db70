import type { Tensor as OrtTensor } from 'onnxruntime-common';
import { elementsFromBytes } from '../../../daemon/core/element-arrays.js';
import { fromHalf } from '../../../daemon/core/half.js';
import type { Ort } from './ort.js';
import type { TypedTensor } from './wire.js';

/** A tensor of the runtime from bytes. Throws for a type that the runtime takes no tensors of. */
export function tensorOf(ort: Ort, { name, type, dims, bytes }: TypedTensor): OrtTensor {
  const elements = elementsFromBytes(type, bytes);
  if (!elements) throw new Error(`input "${name}" has the type ${type}, which pages are not fed with`);
  return new ort.Tensor(type, elements, dims);
}

/** Elements as float32, as far as it holds them. */
export const valuesOf = ({ type, data }: OrtTensor): Float32Array =>
  type === 'float16' && data instanceof Uint16Array
    ? Float32Array.from(data, fromHalf)
    : Float32Array.from(data as ArrayLike<number>, Number);
