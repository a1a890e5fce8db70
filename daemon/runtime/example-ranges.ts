import type { Graph, ValueInfo } from '../network/graph.js';
import { withBatch } from '../network/with-batch.js';
import type { SessionProcess } from './session-process.js';
import { valueRanges } from './value-ranges.js';

/** Inputs that a network will see: float32, one behind the other, each as its only input takes it at batch 1. */
export interface CalibrationExamples {
  readonly values: Float32Array;
  readonly count: number;
  /** Examples an inference: ranges are means over batches, so they depend on it. */
  readonly batch: number;
}

/**
 * Ranges of a network's values over examples, for quantisation: the mean over batches of each batch's extremes. Examples
 * that fill no batch, and values that the network does not compute, are left out.
 */
export async function exampleRanges(
  graph: Graph,
  values: readonly string[],
  examples: CalibrationExamples,
  runtime: SessionProcess,
  { signal }: { readonly signal: AbortSignal },
): Promise<ReadonlyMap<string, { readonly min: number; readonly max: number }>> {
  const { name, dims } = graph.inputs[0] as ValueInfo;
  const batch = Math.min(examples.batch, examples.count);
  const length = (batch * examples.values.length) / examples.count;
  const feeds = Array.from({ length: Math.floor(examples.count / batch) }, (_, i) => ({
    [name]: {
      type: 'float32' as const,
      dims: [batch, ...dims.slice(1).map(Number)],
      data: examples.values.subarray(i * length, (i + 1) * length),
    },
  }));
  return valueRanges(withBatch(graph, batch), values, feeds, runtime, { signal, across: 'mean' });
}
