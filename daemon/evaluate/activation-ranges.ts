import type { Graph } from '../network/graph.js';
import { withBatch } from '../network/with-batch.js';
import type { SessionProcess } from '../runtime/session-process.js';
import { valueRanges } from '../runtime/value-ranges.js';
import { type LabelledImages, sliceImages } from '../train/idx-images.js';

export interface RangeOptions {
  /** Images an inference. */
  readonly batch?: number;
  readonly signal: AbortSignal;
}

/**
 * Ranges of a network's values over images, for quantisation: the mean over batches of each batch's extremes. Values the
 * network does not compute are left out.
 */
export async function activationRanges(
  graph: Graph,
  values: readonly string[],
  images: LabelledImages,
  runtime: SessionProcess,
  { batch = 64, signal }: RangeOptions,
): Promise<ReadonlyMap<string, { readonly min: number; readonly max: number }>> {
  const size = Math.min(batch, images.count);
  const input = graph.inputs[0]?.name as string;
  const dims = [size, 1, images.height, images.width];
  const feeds = Array.from({ length: Math.floor(images.count / size) }, (_, i) => ({
    [input]: { type: 'float32' as const, dims, data: sliceImages(images, i * size, size).pixels },
  }));
  return valueRanges(withBatch(graph, size), values, feeds, runtime, { signal, across: 'mean' });
}
