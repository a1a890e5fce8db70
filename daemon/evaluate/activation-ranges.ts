import type { Graph, Node } from '../network/graph.js';
import { withBatch } from '../network/with-batch.js';
import { writeOnnx } from '../network/write-onnx.js';
import type { SessionProcess } from '../runtime/session-process.js';
import { type LabelledImages, sliceImages } from '../train/idx-images.js';

/** Smallest and largest element of a value. */
export interface ActivationRange {
  readonly min: number;
  readonly max: number;
}

/** The network with the smallest and the largest element of each value as further outputs: two numbers leave, not images. */
function extremesGraph(graph: Graph, values: readonly string[]): Graph {
  const reduce = (op: string, value: string, name: string): Node => ({
    name,
    op,
    domain: '',
    inputs: [value],
    outputs: [name],
    attributes: { keepdims: 0 },
  });
  const nodes = values.flatMap((value, i) => [
    reduce('ReduceMin', value, `range.min.${i}`),
    reduce('ReduceMax', value, `range.max.${i}`),
  ]);
  const outputs = nodes.map(({ name }) => ({ name, dtype: 'float32' as const, dims: [] }));
  return { ...graph, nodes: [...graph.nodes, ...nodes], outputs };
}

export interface RangeOptions {
  /** Images an inference. */
  readonly batch?: number;
  readonly signal: AbortSignal;
}

/**
 * Ranges of a network's values over images, for quantisation: the mean over batches of each batch's extremes, which
 * outliers of single images move less than the extremes of all (Krishnamoorthi 2018, section 3.1.2). Values the network
 * does not compute are left out.
 */
export async function activationRanges(
  graph: Graph,
  values: readonly string[],
  images: LabelledImages,
  runtime: SessionProcess,
  { batch = 64, signal }: RangeOptions,
): Promise<ReadonlyMap<string, ActivationRange>> {
  const known = new Set([
    ...graph.inputs.map(({ name }) => name),
    ...graph.nodes.flatMap((node) => node.outputs),
  ]);
  const asked = values.filter((value) => known.has(value));
  const size = Math.min(batch, images.count);
  const batched = withBatch(extremesGraph(graph, asked), size);
  const { handle } = await runtime.load(
    writeOnnx({ ...batched, outputs: batched.outputs.map((output) => ({ ...output, dims: [] })) }),
    { arena: false },
    { signal },
  );
  try {
    const input = graph.inputs[0]?.name as string;
    const sums = asked.map(() => ({ min: 0, max: 0 }));
    let batches = 0;
    for (let from = 0; from + size <= images.count; from += size, batches++) {
      const dims = [size, 1, images.height, images.width];
      const data = sliceImages(images, from, size).pixels;
      const answer = await runtime.run(handle, { [input]: { type: 'float32', dims, data } }, {}, { signal });
      sums.forEach((sum, i) => {
        sum.min += Number(answer[`range.min.${i}`]?.data[0]);
        sum.max += Number(answer[`range.max.${i}`]?.data[0]);
      });
    }
    return new Map(
      asked.map((name, i) => [
        name,
        { min: (sums[i]?.min ?? 0) / batches, max: (sums[i]?.max ?? 0) / batches },
      ]),
    );
  } finally {
    await runtime.release(handle, { signal });
  }
}
