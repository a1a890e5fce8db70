import type { Graph } from './graph.js';

/** The same network on another batch size: the first dimension of every input and output. Nodes must take any. */
export function withBatch(graph: Graph, batch: number): Graph {
  const resize = <T extends { readonly dims: readonly (number | string | null)[] }>(value: T): T => ({
    ...value,
    dims: [batch, ...value.dims.slice(1)],
  });
  return { ...graph, inputs: graph.inputs.map(resize), outputs: graph.outputs.map(resize) };
}
