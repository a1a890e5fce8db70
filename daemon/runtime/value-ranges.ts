import type { Graph, Node } from '../network/graph.js';
import { writeOnnx } from '../network/write-onnx.js';
import type { RuntimeTensors } from './messages.js';
import type { SessionProcess } from './session-process.js';

/**
 * Smallest and largest element of each value of a network over the given inputs: what quantisation is calibrated with.
 * Values that the network does not compute are left out.
 */
export async function valueRanges(
  graph: Graph,
  values: readonly string[],
  feeds: readonly RuntimeTensors[],
  runtime: SessionProcess,
  { signal }: { readonly signal: AbortSignal },
): Promise<ReadonlyMap<string, { readonly min: number; readonly max: number }>> {
  const known = new Set([
    ...graph.inputs.map(({ name }) => name),
    ...graph.nodes.flatMap((node) => node.outputs),
  ]);
  const asked = values.filter((value) => known.has(value));
  const { handle } = await runtime.load(writeOnnx(withExtremes(graph, asked)), { arena: false }, { signal });
  try {
    const ranges = asked.map(() => ({ min: Number.POSITIVE_INFINITY, max: Number.NEGATIVE_INFINITY }));
    for (const feed of feeds) {
      const answer = await runtime.run(handle, feed, {}, { signal });
      for (const [i, range] of ranges.entries()) {
        range.min = Math.min(range.min, Number(answer[`least.${i}`]?.data[0]));
        range.max = Math.max(range.max, Number(answer[`most.${i}`]?.data[0]));
      }
    }
    return new Map(asked.map((name, i) => [name, ranges[i] ?? { min: 0, max: 0 }]));
  } finally {
    await runtime.release(handle, { signal });
  }
}

/** Two numbers for each value leave the session, not the values. */
function withExtremes(graph: Graph, values: readonly string[]): Graph {
  const reduce = (op: string, input: string, output: string): Node => ({
    name: output,
    op,
    domain: '',
    inputs: [input],
    outputs: [output],
    attributes: { keepdims: 0 },
  });
  const nodes = values.flatMap((value, i) => [
    reduce('ReduceMin', value, `least.${i}`),
    reduce('ReduceMax', value, `most.${i}`),
  ]);
  const outputs = nodes.map(({ name }) => ({ name, dtype: 'float32' as const, dims: [] }));
  return { ...graph, nodes: [...graph.nodes, ...nodes], outputs };
}
