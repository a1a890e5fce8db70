import { HildaError } from '../core/errors.js';
import type { Graph } from '../network/graph.js';
import { elementsOf, floatsFrom, isElementType } from './element-types.js';
import type { RuntimeTensor, RuntimeTensors } from './messages.js';

/** Named tensors in and out of one inference, float32 row-major. */
export type Tensors = Readonly<
  Record<string, { readonly dims: readonly number[]; readonly data: Float32Array }>
>;

/**
 * Numbers as the network's inputs take them. Throws REQUEST_INVALID for a number that an input's type does not hold,
 * NETWORK_REJECTED for a type that cannot be fed. Names that are no inputs go on as they are: the runtime says so.
 */
export function asInputs({ inputs }: Graph, tensors: Tensors): RuntimeTensors {
  const types = new Map(inputs.map(({ name, dtype }) => [name, dtype]));
  return Object.fromEntries(
    Object.entries(tensors).map(([name, { dims, data }]): [string, RuntimeTensor] => {
      const type = types.get(name) ?? 'float32';
      if (type === 'float32') return [name, { type, dims, data }];
      if (!isElementType(type))
        throw new HildaError(
          'NETWORK_REJECTED',
          `the input ${name} has the type ${type}, which cannot be fed`,
        );
      return [name, { type, dims, data: elementsOf(type, data.length, (i) => data[i] as number) }];
    }),
  );
}

/** Outputs as float32, as far as it holds them. */
export const asTensors = (outputs: RuntimeTensors): Tensors =>
  Object.fromEntries(
    Object.entries(outputs).map(([name, { type, dims, data }]) => [
      name,
      { dims, data: floatsFrom(type, data) },
    ]),
  );
