/**
 * `npm run bench -- arena [--networks N] [--board NAME]`: what MCUFormer's operator library saves. Vision transformers of
 * the published MCUFormer-T space whose plain plan exceeds 320 KB of SRAM, planned without and with it. `ratioToNaive` (bar: at
 * most 0.6) and `ratioToBound` (arena by the bytes that must be live, bar: at most 1.1) are the worst over the networks.
 * `plannedEqualsMeasured`: the first network and one small network of each kind, run on an emulated board with its arena
 * painted, used exactly the bytes that were planned.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import type { Graph } from '../../daemon/network/graph.js';
import type { Space } from '../../daemon/search/spaces/contract.js';
import { loadSpace } from '../../daemon/search/spaces/registry.js';
import { type CompiledNetwork, type CompilerBoard, compile } from '../../firmware-bridge/compiler/index.js';
import { compilerBoard, openEmulated, runPainted } from './parts/emulated-session.js';

const { values: flags } = parseArgs({
  options: {
    networks: { type: 'string', default: '6' },
    board: { type: 'string', default: 'mps2-an500' },
  },
});
const sramBytes = 320 * 1024;
const { signal } = new AbortController();
const spaceOf = (id: string): Space =>
  loadSpace(JSON.parse(readFileSync(`profiles/spaces/${id}.json`, 'utf8')));
const f746: CompilerBoard = {
  weightLayout: 'dsp',
  arenaBytes: sramBytes,
  flashBytes: Number.POSITIVE_INFINITY,
  weightsAt: 'flash',
  poolBytes: 65_536,
  fetchesInput: true,
};
const plan = (graph: Graph, board: CompilerBoard, tricks: 'all' | 'none'): Promise<CompiledNetwork> =>
  compile(graph, { board, weights: 'pool', tricks, goal: 'smallest' });

const kb = (bytes: number): string => `${(bytes / 1024).toFixed(1)} KB`;
const space = spaceOf('mcuformer-tiny');
const rng = Xoshiro128.fromSeed(1);
let [ratioToNaive, ratioToBound, count] = [0, 0, 0];
let largest: Graph | undefined;
while (count < Number(flags.networks)) {
  const architecture = space.sample(rng);
  const graph = space.network(architecture);
  const naive = await plan(graph, f746, 'none');
  if (naive.arenaBytes <= sramBytes) continue;
  const small = await plan(graph, f746, 'all');
  largest ??= graph;
  count++;
  const [toNaive, toBound] = [small.arenaBytes / naive.arenaBytes, small.arenaBytes / small.boundBytes];
  ratioToNaive = Math.max(ratioToNaive, toNaive);
  ratioToBound = Math.max(ratioToBound, toBound);
  console.log(
    `${kb(naive.arenaBytes)} -> ${kb(small.arenaBytes)}: ${toNaive.toFixed(3)} of the plain plan, ${toBound.toFixed(3)} of the bound; peak at ${small.peak.operator} (${small.peak.kind}), blocks of ${small.blockRows} rows, ${(small.macs / 1e6).toFixed(0)} MMAC`,
  );
}

/** 1: every arena was used to the byte; 0: one was not; null: no emulated board here. */
let plannedEqualsMeasured: number | null = null;
const session = await openEmulated(flags.board, signal);
if (session) {
  plannedEqualsMeasured = 1;
  const small = [spaceOf('vit-fmnist'), spaceOf('mbconv-fmnist')].map((s) =>
    s.network(s.sample(Xoshiro128.fromSeed(2))),
  );
  for (const graph of [...small, largest as Graph])
    for (const tricks of ['none', 'all'] as const) {
      // The plain plan of the large network would only cost time again.
      if (graph === largest && tricks === 'none') continue;
      const { program, arenaBytes, records } = await plan(graph, compilerBoard(session), tricks);
      const { report } = await runPainted(session, program, { records: records.length, arenaBytes, signal });
      console.log(
        `${graph.name}, tricks ${tricks}, on ${flags.board}: planned ${arenaBytes} B, measured ${report.arenaPeakBytes} B (painted), ${report.ticks} ${session.board.tickUnit}`,
      );
      if (report.arenaPeakBytes !== arenaBytes) plannedEqualsMeasured = 0;
    }
  await session.close();
} else console.log(`${flags.board} cannot run here: nothing was measured`);
console.log(
  JSON.stringify({ bench: 'arena', figures: { ratioToNaive, ratioToBound, plannedEqualsMeasured } }),
);
