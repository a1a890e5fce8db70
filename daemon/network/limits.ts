import { HildaError } from '../core/errors.js';
import { byteCount, type Graph, type Tensor } from './graph.js';
import { inferKnownShapes } from './infer-shapes.js';
import { isGraph, isTensor } from './shape-rules/rule.js';

export interface NetworkLimits {
  /** Largest single value, constant or computed. */
  readonly maxTensorBytes: number;
  readonly maxWeightBytes: number;
  readonly maxNodes: number;
}

const defaultNetworkLimits: NetworkLimits = {
  maxTensorBytes: 2 ** 30,
  maxWeightBytes: 2 ** 31,
  maxNodes: 100_000,
};

/** Every constant of a graph: initialisers, those inside Constant nodes, and those of inner graphs. */
function* constantsOf(graph: Graph): Generator<Tensor> {
  yield* graph.initializers.values();
  for (const { attributes } of graph.nodes)
    for (const value of Object.values(attributes)) {
      if (isTensor(value)) yield value;
      if (isGraph(value)) yield* constantsOf(value);
    }
}

const nodesOf = (graph: Graph): number =>
  graph.nodes.reduce(
    (sum, { attributes }) =>
      Object.values(attributes).reduce<number>(
        (inner, value) => (isGraph(value) ? inner + nodesOf(value) : inner),
        sum + 1,
      ),
    0,
  );

/**
 * Refuses networks that would swamp a device before they reach one: a file of 118 bytes can ask for a tensor of
 * 16 GiB. Values whose shape only a run tells are left to the limits of the process that runs them.
 * Throws NETWORK_TOO_LARGE, ONNX_INVALID.
 */
export function checkNetworkLimits(graph: Graph, limits: NetworkLimits = defaultNetworkLimits): void {
  const refuse = (what: string, is: number, max: number): never => {
    throw new HildaError('NETWORK_TOO_LARGE', `${what}: ${is}, at most ${max} allowed`, {
      details: { is, max },
    });
  };
  const nodes = nodesOf(graph);
  if (nodes > limits.maxNodes) refuse('operators', nodes, limits.maxNodes);
  let weightBytes = 0;
  for (const { data } of constantsOf(graph)) weightBytes += data.byteLength;
  if (weightBytes > limits.maxWeightBytes) refuse('weight bytes', weightBytes, limits.maxWeightBytes);
  for (const { name, dtype, dims } of graph.inputs) {
    const fixed = dims.map((dim) => (typeof dim === 'number' ? dim : 1));
    const bytes = byteCount(dtype, fixed);
    if (bytes > limits.maxTensorBytes) refuse(`bytes of the input ${name}`, bytes, limits.maxTensorBytes);
  }
  for (const [name, { dtype, dims }] of inferKnownShapes(graph).shapes) {
    const bytes = byteCount(dtype, dims);
    if (bytes > limits.maxTensorBytes) refuse(`bytes of the value ${name}`, bytes, limits.maxTensorBytes);
  }
}
