import type { LabelledImages } from '../data/labelled/labelled-images.js';
import type { Graph } from '../network/graph.js';
import { exampleRanges } from '../runtime/example-ranges.js';
import type { SessionProcess } from '../runtime/session-process.js';

/** Images an inference, where nothing else is said. */
export const calibrationBatch = 64;

export interface RangeOptions {
  /** Images an inference. */
  readonly batch?: number;
  readonly signal: AbortSignal;
}

/** Ranges of a network's values over images, for quantisation; see `exampleRanges`. */
export async function activationRanges(
  graph: Graph,
  values: readonly string[],
  images: LabelledImages,
  runtime: SessionProcess,
  { batch = calibrationBatch, signal }: RangeOptions,
): Promise<ReadonlyMap<string, { readonly min: number; readonly max: number }>> {
  const examples = { values: images.pixels, count: images.count, batch };
  return exampleRanges(graph, values, examples, runtime, { signal });
}
