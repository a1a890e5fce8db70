import { freshNames } from '../network/fresh-names.js';
import type { Graph, Node } from '../network/graph.js';
import { writeOnnx } from '../network/write-onnx.js';
import type { RuntimeTensors } from './messages.js';
import type { SessionProcess } from './session-process.js';

export interface ValueRangeOptions {
  readonly signal: AbortSignal;
  /**
   * How the extremes of the inputs are put together: the furthest of all (default), or their mean, which single outliers
   * move less where each input is a batch (Krishnamoorthi 2018, section 3.1.2).
   */
  readonly across?: 'furthest' | 'mean';
}

/**
 * Smallest and largest element of each value of a network over the given inputs: what quantisation is calibrated with.
 * Values that the network does not compute are left out.
 */
export async function valueRanges(
  graph: Graph,
  values: readonly string[],
  feeds: readonly RuntimeTensors[],
  runtime: SessionProcess,
  { signal, across = 'furthest' }: ValueRangeOptions,
): Promise<ReadonlyMap<string, { readonly min: number; readonly max: number }>> {
  const known = new Set([
    ...graph.inputs.map(({ name }) => name),
    ...graph.nodes.flatMap((node) => node.outputs),
  ]);
  const asked = values.filter((value) => known.has(value));
  const extremes = withExtremes(graph, asked);
  const { handle } = await runtime.load(writeOnnx(extremes.graph), { arena: false }, { signal });
  try {
    const seen = asked.map(() => ({ min: [] as number[], max: [] as number[] }));
    for (const feed of feeds) {
      const answer = await runtime.run(handle, feed, {}, { signal });
      for (const [i, { min, max }] of seen.entries()) {
        min.push(Number(answer[extremes.least[i] as string]?.data[0]));
        max.push(Number(answer[extremes.most[i] as string]?.data[0]));
      }
    }
    const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
    return new Map(
      asked.map((name, i) => {
        const { min, max } = seen[i] as { min: number[]; max: number[] };
        return [
          name,
          across === 'mean'
            ? { min: mean(min), max: mean(max) }
            : { min: Math.min(...min), max: Math.max(...max) },
        ];
      }),
    );
  } finally {
    await runtime.release(handle, { signal });
  }
}

/** Two numbers for each value leave the session, not the values. */
function withExtremes(
  graph: Graph,
  values: readonly string[],
): { readonly graph: Graph; readonly least: readonly string[]; readonly most: readonly string[] } {
  const fresh = freshNames(graph);
  const [least, most] = ['least', 'most'].map((end) => values.map((_, i) => fresh(`${end}.${i}`))) as [
    string[],
    string[],
  ];
  const reduce = (op: string, input: string, output: string): Node => ({
    name: output,
    op,
    domain: '',
    inputs: [input],
    outputs: [output],
    attributes: { keepdims: 0 },
  });
  const nodes = values.flatMap((value, i) => [
    reduce('ReduceMin', value, least[i] as string),
    reduce('ReduceMax', value, most[i] as string),
  ]);
  const outputs = nodes.map(({ name }) => ({ name, dtype: 'float32' as const, dims: [] }));
  return { graph: { ...graph, nodes: [...graph.nodes, ...nodes], outputs }, least, most };
}
