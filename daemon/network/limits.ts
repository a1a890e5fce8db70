import { HildaError } from '../core/errors.js';
import { bytesPerElement, elementCount, type Graph } from './graph.js';
import { inferShapes } from './infer-shapes.js';

export interface NetworkLimits {
  /** Largest single value, constant or computed. */
  readonly maxTensorBytes: number;
  readonly maxWeightBytes: number;
  readonly maxNodes: number;
}

export const defaultNetworkLimits: NetworkLimits = {
  maxTensorBytes: 2 ** 30,
  maxWeightBytes: 2 ** 31,
  maxNodes: 100_000,
};

/**
 * Refuses networks that would swamp a device before they reach one: a file of 118 bytes can ask for a tensor of
 * 16 GiB. Throws NETWORK_TOO_LARGE, and what `inferShapes` throws.
 */
export function checkNetworkLimits(graph: Graph, limits: NetworkLimits = defaultNetworkLimits): void {
  const refuse = (what: string, is: number, max: number): never => {
    throw new HildaError('NETWORK_TOO_LARGE', `${what}: ${is}, at most ${max} allowed`, {
      details: { is, max },
    });
  };
  if (graph.nodes.length > limits.maxNodes) refuse('operators', graph.nodes.length, limits.maxNodes);
  const weightBytes = [...graph.initializers.values()].reduce(
    (sum, tensor) => sum + tensor.data.byteLength,
    0,
  );
  if (weightBytes > limits.maxWeightBytes) refuse('weight bytes', weightBytes, limits.maxWeightBytes);
  for (const [name, { dtype, dims }] of inferShapes(graph)) {
    const bytes = elementCount(dims) * bytesPerElement[dtype];
    if (bytes > limits.maxTensorBytes) refuse(`bytes of the value ${name}`, bytes, limits.maxTensorBytes);
  }
}
