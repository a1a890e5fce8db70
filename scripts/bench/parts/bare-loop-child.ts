/**
 * The bare onnxruntime-node loop that `bench overhead` compares with: one process, one session, `session.run` in a
 * row, nothing of hilda's around it. Takes {model, threads, dims, keepOutputs} first, then answers every {ms, group} with
 * the median over groups of `group` runs in a row of each group's mean, in microseconds, which is the daemon's own
 * statistic: a mean over all runs would hold what disturbed some of them. A run beyond twice its group's median counts as
 * twice that. Reads the clock itself, since that is what is compared. `keepOutputs`: outputs go to tensors that stay.
 */
import { InferenceSession, Tensor } from 'onnxruntime-node';

type Message =
  | {
      readonly model: Uint8Array;
      readonly threads: number;
      readonly dims: readonly number[];
      readonly keepOutputs: boolean;
    }
  | { readonly ms: number; readonly group: number };

let session: InferenceSession;
let feeds: Record<string, Tensor>;
let sinks: Record<string, Tensor> | null = null;

process.on('message', async (message: Message) => {
  if ('model' in message) {
    session = await InferenceSession.create(message.model, {
      intraOpNumThreads: message.threads,
      interOpNumThreads: 1,
    });
    const size = message.dims.reduce((product, dim) => product * dim, 1);
    const data = Float32Array.from({ length: size }, (_, i) => Math.sin(i));
    feeds = { [session.inputNames[0] as string]: new Tensor('float32', data, message.dims) };
    if (message.keepOutputs) {
      sinks = {};
      for (const [name, { type, data: values, dims }] of Object.entries(await session.run(feeds)))
        sinks[name] = new Tensor(type as 'float32', (values as Float32Array).slice(), dims);
    }
    process.send?.(0);
    return;
  }
  const samplesMs: number[] = [];
  const endMs = performance.now() + message.ms;
  const run = (): Promise<unknown> => (sinks === null ? session.run(feeds) : session.run(feeds, sinks));
  for (let warm = 0; warm < 3; warm++) await run();
  do {
    const startMs = performance.now();
    await run();
    samplesMs.push(performance.now() - startMs);
  } while (performance.now() < endMs);
  const means: number[] = [];
  for (let from = 0; from + message.group <= samplesMs.length; from += message.group) {
    const group = samplesMs.slice(from, from + message.group);
    const most = 2 * middle(group);
    means.push(group.reduce((sum, ms) => sum + Math.min(ms, most), 0) / group.length);
  }
  process.send?.(middle(means.length > 0 ? means : samplesMs) * 1000);
});
const middle = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  const upper = sorted[half] as number;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[half - 1] as number)) / 2;
};

process.on('disconnect', () => process.exit(0));
