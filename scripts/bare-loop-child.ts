/**
 * The bare onnxruntime-node loop that `bench overhead` compares with: one process, one session, `session.run` in a
 * row, nothing of hilda's around it. Takes {model, threads, dims} first, then answers every {ms} with the median of
 * the runs it fitted in, in microseconds. Reads the clock itself, since that is what is compared.
 */
import { InferenceSession, Tensor } from 'onnxruntime-node';

type Message =
  | { readonly model: Uint8Array; readonly threads: number; readonly dims: readonly number[] }
  | { readonly ms: number };

let session: InferenceSession;
let feeds: Record<string, Tensor>;

process.on('message', async (message: Message) => {
  if ('model' in message) {
    session = await InferenceSession.create(message.model, {
      intraOpNumThreads: message.threads,
      interOpNumThreads: 1,
    });
    const size = message.dims.reduce((product, dim) => product * dim, 1);
    const data = Float32Array.from({ length: size }, (_, i) => Math.sin(i));
    feeds = { [session.inputNames[0] as string]: new Tensor('float32', data, message.dims) };
    process.send?.(0);
    return;
  }
  const samplesMs: number[] = [];
  const endMs = performance.now() + message.ms;
  for (let warm = 0; warm < 3; warm++) await session.run(feeds);
  do {
    const startMs = performance.now();
    await session.run(feeds);
    samplesMs.push(performance.now() - startMs);
  } while (performance.now() < endMs);
  samplesMs.sort((a, b) => a - b);
  process.send?.((samplesMs[samplesMs.length >> 1] as number) * 1000);
});
process.on('disconnect', () => process.exit(0));
