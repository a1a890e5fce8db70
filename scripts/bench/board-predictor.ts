/**
 * `npm run bench -- board-predictor [--networks N] [--samples N] [--boards A,B] [--spaces A,B] [--seed N]`: counts of unseen
 * networks from a look-up table over a board's per-operator counts. For each emulated board and space, `samples` random
 * networks are run and learnt operator by operator; `networks` others are told from their compiled programs alone, then
 * run. `within5`: the smallest share, over boards and spaces, that is within 5 % of the count (bar: 0.95).
 * `*.wholeWithin5`: the same from whole networks and the space's own features, as studies predict.
 */
import { parseArgs } from 'node:util';
import { type Architecture, architectureId } from '../../daemon/core/architecture.js';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import { median } from '../../daemon/measure/statistics.js';
import { type CountedNetwork, OperatorTable } from '../../daemon/predict/operator-table.js';
import { PickedPredictor } from '../../daemon/predict/picked.js';
import type { Space } from '../../daemon/search/spaces/contract.js';
import { costViews } from '../../daemon/search/spaces/parts/cost-views.js';
import { type CompiledNetwork, compile, operatorFacts } from '../../firmware-bridge/compiler/index.js';
import type { BoardSession } from '../../firmware-bridge/link/index.js';
import { emulatedBoards, slotFor } from './parts/emulated-session.js';
import { openSpace } from './parts/measure-spaces.js';

const { values: flags } = parseArgs({
  options: {
    networks: { type: 'string', default: '200' },
    samples: { type: 'string', default: '50' },
    boards: { type: 'string', default: 'rp2040-pico,mps2-an386,mps2-an500' },
    spaces: { type: 'string', default: 'mbconv-fmnist,vit-fmnist' },
    seed: { type: 'string', default: '1' },
  },
});
const { signal } = new AbortController();
const [samples, networks] = [Number(flags.samples), Number(flags.networks)];
const figures: Record<string, number> = {};
const shares: number[] = [];

/** Random architectures, none twice. */
function draw(space: Space, count: number): Architecture[] {
  const rng = Xoshiro128.fromSeed(Number(flags.seed));
  const drawn = new Map<string, Architecture>();
  for (let tries = 0; drawn.size < count && tries < 20 * count; tries++) {
    const architecture = space.sample(rng);
    drawn.set(architectureId(space.id, architecture), architecture);
  }
  return [...drawn.values()];
}

/** Ticks of each top-level operator in one run; counts repeat to the last one, so one is enough. */
async function counted(session: BoardSession, compiled: CompiledNetwork): Promise<CountedNetwork> {
  const { program, records, arenaBytes, topLevel } = compiled;
  const slot = slotFor(session, { program, records: records.length, arenaBytes });
  const { inputOffset, inputBytes, operators } = await session.upload(slot, program, { signal });
  if (inputOffset !== null) await session.fill(inputOffset, inputBytes, 1, { signal });
  await session.run({ slot, paint: 0xa5, limitMs: 600_000, timeoutMs: 600_000, signal });
  const ticks = await session.ticks(operators, { signal });
  const parts = operatorFacts(compiled).map((facts, i) => ({
    ...facts,
    cost: ticks[topLevel[i] as number] as number,
  }));
  return { operators: parts, whole: parts.reduce((sum, { cost }) => sum + cost, 0) };
}

const round = (value: number): number => Number(value.toFixed(4));

for await (const { name, session, board } of emulatedBoards(flags.boards, signal)) {
  await session.preparePool({ signal });
  for (const id of flags.spaces.split(',')) {
    const space = openSpace(id);
    const architectures = draw(space, samples + networks);
    const runs: CountedNetwork[] = [];
    for (const architecture of architectures)
      runs.push(
        await counted(session, await compile(space.network(architecture), { board, weights: 'pool' })),
      );
    const table = new OperatorTable();
    table.fit(runs.slice(0, samples));
    const views = architectures.map((architecture) => costViews(space, architecture));
    const picked = new PickedPredictor();
    picked.fit(
      views.slice(0, samples),
      runs.slice(0, samples).map(({ whole }) => whole),
    );
    const whole = picked.predict(views.slice(samples)).mean;
    const unseen = runs.slice(samples);
    const told = unseen.map(({ operators }) => table.predict(operators));
    const errors = unseen.map((run, i) => Math.abs((told[i]?.mean ?? 0) / run.whole - 1));
    const wholeErrors = unseen.map((run, i) => Math.abs((whole[i] as number) / run.whole - 1));
    const within = (list: readonly number[], bound: number): number =>
      list.filter((error) => error <= bound).length / list.length;
    const inside = unseen.filter((run, i) => {
      const { low = 0, high = 0 } = told[i] ?? {};
      return low <= run.whole && run.whole <= high;
    }).length;
    const key = `${name}.${id}`;
    shares.push(within(errors, 0.05));
    figures[`${key}.within5`] = round(within(errors, 0.05));
    figures[`${key}.medianError`] = round(median(errors));
    figures[`${key}.largestError`] = round(Math.max(...errors));
    figures[`${key}.coverage90`] = round(inside / unseen.length);
    figures[`${key}.wholeWithin5`] = round(within(wholeErrors, 0.05));
    console.log(
      `${key}: ${unseen.length} unseen, ${samples} learnt: within 5 % ${within(errors, 0.05).toFixed(3)}, median error ${(100 * median(errors)).toFixed(2)} %, largest ${(100 * Math.max(...errors)).toFixed(2)} %; from whole networks (${picked.report().model}) within 5 % ${within(wholeErrors, 0.05).toFixed(3)}; counts are ${session.board.tickUnit}, emulated`,
    );
  }
}
figures.within5 = round(Math.min(...shares));
console.log(JSON.stringify({ bench: 'board-predictor', figures }));
