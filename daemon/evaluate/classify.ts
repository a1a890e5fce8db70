import { type LabelledImages, sliceImages } from '../data/labelled/labelled-images.js';
import type { Graph, ValueInfo } from '../network/graph.js';
import { withBatch } from '../network/with-batch.js';
import { writeOnnx } from '../network/write-onnx.js';
import type { SessionProcess } from '../runtime/session-process.js';

/**
 * 1 for each image whose largest logit is at its label, else 0. `graph` has one input [n, channels, height, width] and one
 * output [n, classes]; it runs in batches of `batch` images.
 */
export async function rightAnswers(
  graph: Graph,
  images: LabelledImages,
  runtime: SessionProcess,
  { batch: wanted = 250, signal }: { readonly batch?: number; readonly signal: AbortSignal },
): Promise<Uint8Array> {
  const batch = Math.min(wanted, images.count);
  const limits = { signal };
  const { handle } = await runtime.load(writeOnnx(withBatch(graph, batch)), { arena: false }, limits);
  const [input, output] = [(graph.inputs[0] as ValueInfo).name, (graph.outputs[0] as ValueInfo).name];
  const dims = [batch, images.channels, images.height, images.width];
  const right = new Uint8Array(images.count);
  try {
    for (let from = 0; from < images.count; from += batch) {
      // The last batch is moved back to be full; images seen twice get the same answer twice.
      const start = Math.min(from, images.count - batch);
      const { pixels, labels } = sliceImages(images, start, batch);
      const feeds = { [input]: { type: 'float32' as const, dims, data: pixels } };
      const answer = await runtime.run(handle, feeds, { fetch: [output] }, limits);
      const logits = answer[output]?.data as Float32Array;
      const classes = logits.length / batch;
      labels.forEach((label, i) => {
        const row = logits.subarray(i * classes, (i + 1) * classes);
        right[start + i] = row.indexOf(Math.max(...row)) === label ? 1 : 0;
      });
    }
    return right;
  } finally {
    await runtime.release(handle, limits).catch(() => {});
  }
}
