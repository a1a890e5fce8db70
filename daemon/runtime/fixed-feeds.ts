import type { InferenceSession } from 'onnxruntime-node';
import { HildaError } from '../core/errors.js';
import { Xoshiro128 } from '../core/rng.js';
import { elementsOf, isElementType, isWhole, zeros } from './element-types.js';
import type { ElementType, InputFeed, RuntimeTensor, RuntimeTensors, RuntimeValue } from './messages.js';

export const toRuntimeValue = (metadata: InferenceSession.ValueMetadata): RuntimeValue =>
  metadata.isTensor
    ? { name: metadata.name, type: metadata.type, dims: metadata.shape }
    : { name: metadata.name, type: null, dims: [] };

/** Feeds for the inputs as a session declares them. Throws SHAPE_UNKNOWN where a dimension is open, NETWORK_REJECTED. */
export function declaredFeeds(inputs: readonly RuntimeValue[]): readonly InputFeed[] {
  return inputs.map(({ name, type, dims }) => {
    if (type === null)
      throw new HildaError('NETWORK_REJECTED', `input "${name}" is a sequence, a map or an optional value`, {
        hint: 'Only tensors can be fed: give the network inputs that are tensors.',
      });
    const open = dims.find((dim) => typeof dim !== 'number');
    if (open !== undefined)
      throw new HildaError('SHAPE_UNKNOWN', `input "${name}" leaves the dimension "${open}" open`);
    return { name, type, dims: dims as readonly number[] };
  });
}

/**
 * The input that every timed run of a network gets, from a fixed seed. Floats are ordinary numbers in [-1, 1) unless a
 * filling says otherwise, since zeros or denormals change the speed of some kernels; whole numbers are zero, which is a
 * valid index into any table.
 */
export function fixedFeeds(inputs: readonly InputFeed[]): RuntimeTensors {
  const rng = Xoshiro128.fromSeed(1);
  return Object.fromEntries(
    inputs.map((input): [string, RuntimeTensor] => {
      const { name, type, dims } = input;
      if (!isElementType(type))
        throw new HildaError(
          'NETWORK_REJECTED',
          `input "${name}" has the type ${type}, which cannot be fed`,
          {
            hint: "onnxruntime's binding for Node takes no tensors of this type.",
          },
        );
      return [name, { type, dims, data: fill(input, type, rng) }];
    }),
  );
}

function fill({ name, dims, filling }: InputFeed, type: ElementType, rng: Xoshiro128): RuntimeTensor['data'] {
  const count = dims.reduce((product, dim) => product * dim, 1);
  if (filling && 'data' in filling) {
    if (filling.data.length === count) return filling.data;
    throw new HildaError(
      'REQUEST_INVALID',
      `input "${name}" takes ${count} values (${dims.join(' x ')}), ${filling.data.length} were given`,
    );
  }
  const whole = isWhole(type);
  if (!filling && (whole || type === 'string')) return zeros(type, count);
  const { low, high } = filling ?? { low: -1, high: 1 };
  return elementsOf(type, count, () =>
    whole ? low + Math.floor(rng.next() * (high - low + 1)) : low + rng.next() * (high - low),
  );
}
