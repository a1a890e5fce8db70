import type { Graph } from '../../../daemon/network/graph.js';
import { writeOnnx } from '../../../daemon/network/write-onnx.js';
import type { SessionProcess } from '../../../daemon/runtime/session-process.js';

/**
 * Latency of each network over that of the first, on this CPU with one thread: the median over rounds in which all take
 * turns, since ratios inside a round reproduce where times do not.
 */
export async function latencyRatios(
  runtime: SessionProcess,
  networks: readonly Graph[],
  {
    rounds = 60,
    runs = 4,
    warmUp = 20,
  }: { readonly rounds?: number; readonly runs?: number; readonly warmUp?: number } = {},
): Promise<readonly number[]> {
  const handles: number[] = [];
  for (const network of networks) handles.push((await runtime.load(writeOnnx(network))).handle);
  const legs = handles.map((handle) => ({ handle, runs }));
  const least = (samples: Float64Array): number => Math.min(...samples);
  await runtime.time(legs.map((leg) => ({ ...leg, runs: warmUp })));
  const ratios = networks.map((): number[] => []);
  for (let round = 0; round < rounds; round++) {
    const { samplesUs } = await runtime.time(legs);
    const first = least(samplesUs[0] as Float64Array);
    for (const [i, samples] of samplesUs.entries()) ratios[i]?.push(least(samples) / first);
  }
  for (const handle of handles) await runtime.release(handle);
  return ratios.map((list) => list.sort((a, b) => a - b)[list.length >> 1] as number);
}
