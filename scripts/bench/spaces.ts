/**
 * `npm run bench -- spaces`: the hardware claims of three spaces, measured through onnxruntime on this CPU, one thread.
 * Ratios come from networks that take turns in one session process.
 *
 * - `sqa.t<N>`, `xsqa.t<N>`: latency of an encoder whose layers have half, a quarter of the query heads (SQA, Filipek 2025)
 *   over the one with all, at N tokens. It falls towards 0.5 and 0.25 where attention dominates.
 * - `lowformer.macs`, `lowformer.latency`: MACs and latency of a network with one fused block over the same with that block
 *   separable (Nottebaum et al. 2025), for the pair where fused gains most; `lowformer.faster` of `lowformer.pairs`: how
 *   many pairs have more MACs and less time.
 * - `recurrence.peakBytes.t<N>`, `attention.peakBytes.t<N>`: most bytes in use (onnxruntime's own count) while N steps of a
 *   linear recurrence run, and while one attention layer of the same width reads N tokens.
 */
import { Xoshiro128 } from '../../daemon/core/rng.js';
import { countCost } from '../../daemon/network/cost.js';
import type { Graph } from '../../daemon/network/graph.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';
import type { Space } from '../../daemon/search/spaces/contract.js';
import { loadSpace } from '../../daemon/search/spaces/registry.js';
import { latencyRatios } from './parts/latency-ratio.js';

const runtime = new SessionProcess({ memoryLimitBytes: null });
const figures: Record<string, number> = {};
const round = (value: number): number => Number(value.toPrecision(4));

const encoder = (tokens: number, width: number, kinds: readonly string[]): Space =>
  loadSpace({
    kind: 'attention',
    id: 'encoder',
    tokens,
    width,
    classes: 10,
    depths: [2],
    kinds,
    heads: 8,
    headWidth: 16,
    mlpRatios: [1],
  });

for (const tokens of [32, 128, 512, 1536]) {
  const space = encoder(tokens, 128, ['mha', 'sqa', 'xsqa']);
  const networks = [0, 1, 2].map((kind) => space.network([0, kind, 0, kind, 0]));
  const few = tokens >= 512;
  const ratios = await latencyRatios(runtime, networks, few ? { rounds: 15, runs: 2, warmUp: 3 } : {});
  ['sqa', 'xsqa'].forEach((name, i) => {
    figures[`${name}.t${tokens}`] = round(ratios[i + 1] as number);
  });
  console.log(
    `${tokens} tokens: SQA ${ratios[1]?.toFixed(3)}, xSQA ${ratios[2]?.toFixed(3)} of MHA's latency`,
  );
}

const lowformer = loadSpace({
  kind: 'lowformer',
  id: 'lowformer-pairs',
  input: [3, 96, 96],
  classes: 10,
  stemWidth: 16,
  stages: [
    { width: 16, depth: 2, attentionStride: 0 },
    { width: 32, depth: 2, attentionStride: 0 },
    { width: 64, depth: 2, attentionStride: 0 },
  ],
  expansions: [2, 4],
});
const dims = lowformer.dims ?? [];
const rng = Xoshiro128.fromSeed(1);
const pairs = dims.flatMap((dim, d) => {
  if (!dim.name.endsWith('.convolution')) return [];
  const other = lowformer.sample(rng) as readonly number[];
  const pair = [0, 1].map((block) => lowformer.network(other.map((index, k) => (k === d ? block : index))));
  return [{ name: dim.name, pair: pair as [Graph, Graph] }];
});
let best = { name: '', macs: 0, latency: Number.POSITIVE_INFINITY };
let faster = 0;
for (const { name, pair } of pairs) {
  const macs = countCost(pair[1]).macs / countCost(pair[0]).macs;
  const latency = (await latencyRatios(runtime, pair))[1] as number;
  if (macs > 1 && latency < 1) faster++;
  if (latency < best.latency) best = { name, macs, latency };
  console.log(
    `${name}: fused has ${macs.toFixed(2)} times the MACs and ${latency.toFixed(3)} of the latency`,
  );
}
figures['lowformer.macs'] = round(best.macs);
figures['lowformer.latency'] = round(best.latency);
figures['lowformer.faster'] = faster;
figures['lowformer.pairs'] = pairs.length;

async function peakBytes(network: Graph, runs: number): Promise<number> {
  const { handle } = await runtime.load(writeOnnx(network), { profile: true });
  const rows = await runtime.profile(handle, runs);
  await runtime.release(handle);
  return rows.reduce((most, row) => Math.max(most, row.memInUsePeakBytes), 0);
}
const memory = loadSpace({
  kind: 'recurrence',
  id: 'memory',
  width: 64,
  classes: 10,
  depths: [1],
  states: [16],
  rules: ['delta'],
  mlpRatios: [1],
});
for (const length of [16, 64, 256, 1024]) {
  const recurrence = await peakBytes(memory.network([0, 0, 0, 0]), length);
  const attention = await peakBytes(encoder(length, 64, ['mha']).network([0, 0, 0, 0, 0]), 2);
  figures[`recurrence.peakBytes.t${length}`] = recurrence;
  figures[`attention.peakBytes.t${length}`] = attention;
  console.log(`length ${length}: recurrence ${recurrence} bytes at most, attention ${attention}`);
}
await runtime.stop();
console.log(JSON.stringify({ bench: 'spaces', figures }));
