import type { InferenceSession } from 'onnxruntime-node';
import { HildaError } from '../core/errors.js';
import { Xoshiro128 } from '../core/rng.js';
import type { ElementType, RuntimeTensor, RuntimeTensors, RuntimeValue } from './messages.js';

const integerArrays = {
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  bool: Uint8Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
} as const;

export function toRuntimeValue(metadata: InferenceSession.ValueMetadata): RuntimeValue {
  if (!metadata.isTensor) throw new HildaError('NETWORK_REJECTED', `"${metadata.name}" is not a tensor`);
  return { name: metadata.name, type: metadata.type, dims: metadata.shape };
}

/**
 * The input that every timed run of a network gets: float inputs uniform in [-1, 1) from a fixed seed (ordinary
 * numbers: zeros or denormals change the speed of some kernels), whole-number inputs zero, which is a valid index
 * into any table. Throws SHAPE_UNKNOWN where a dimension is open.
 */
export function fixedFeeds(inputs: readonly RuntimeValue[]): RuntimeTensors {
  const rng = Xoshiro128.fromSeed(1);
  return Object.fromEntries(
    inputs.map(({ name, type, dims }): [string, RuntimeTensor] => {
      const fixed = dims.map((dim) => {
        if (typeof dim === 'number') return dim;
        throw new HildaError('SHAPE_UNKNOWN', `input "${name}" leaves the dimension "${dim}" open`);
      });
      const count = fixed.reduce((product, dim) => product * dim, 1);
      if (type === 'float32' || type === 'float64') {
        const data = type === 'float32' ? new Float32Array(count) : new Float64Array(count);
        for (let i = 0; i < count; i++) data[i] = rng.next() * 2 - 1;
        return [name, { type, dims: fixed, data }];
      }
      if (!(type in integerArrays))
        throw new HildaError('NETWORK_REJECTED', `input "${name}" has the type ${type}, which cannot be fed`);
      const data = new integerArrays[type as keyof typeof integerArrays](count);
      return [name, { type: type as ElementType, dims: fixed, data }];
    }),
  );
}
