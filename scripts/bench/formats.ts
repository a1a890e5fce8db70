/**
 * `npm run bench -- formats [--trials N] [--seeds N] [--first N] [--sampler NAME] [--images N]`: number formats searched with the
 * architecture (SimQ-NAS) against searched first and quantised after, at equal numbers of evaluations, on
 * mbconv-fmnist-formats: accuracy (measured through onnxruntime with the shipped super-network's weights) against bytes
 * of weights (counted). Search first: half the evaluations find a float front, the other half give its members formats:
 * int8 throughout first, then mixed ones at random.
 *
 * `joint.hv`, `after.hv`: mean share of the box between (all float32 and largest, accuracy 0.8) and (no bytes, accuracy
 * 1); `gain.mean`, `gain.error`, `gain.t`: of the paired differences. `joint.covered`, `after.covered`: mean share of one front
 * that the other dominates or equals; with `Accurate`, `Middle`, `Small` of its thirds by accuracy. `joint.ahead`,
 * `after.ahead`: share of sizes (of either's front members, of all seeds) at which the median over seeds of the best accuracy
 * within that size is higher: one's median attainment surface (Fonseca and Fleming 1996) dominates the other's where the
 * other is never ahead. `int8Ratio.*`: latency of int8 throughout over float32, measured in turns on this CPU.
 */

import { parseArgs } from 'node:util';
import { type Architecture, architectureId } from '../../daemon/core/architecture.js';
import { randomInt, Xoshiro128 } from '../../daemon/core/rng.js';
import { readIdxImages } from '../../daemon/data/labelled/idx-images.js';
import { sliceImages } from '../../daemon/data/labelled/labelled-images.js';
import { SupernetEvaluator } from '../../daemon/evaluate/supernet.js';
import { median } from '../../daemon/measure/statistics.js';
import type { Graph } from '../../daemon/network/graph.js';
import { PredictorBank } from '../../daemon/predict/bank.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';
import { hypervolume } from '../../daemon/search/pareto/hypervolume.js';
import type { Objective, Trial } from '../../daemon/search/samplers/contract.js';
import { createSampler } from '../../daemon/search/samplers/registry.js';
import type { Formats, Space } from '../../daemon/search/spaces/contract.js';
import { costViews, decisionFeatures } from '../../daemon/search/spaces/parts/cost-views.js';
import { supernetWeights } from '../../daemon/train/weights/supernet-weights.js';
import { latencyRatios } from './parts/latency-ratio.js';
import { mean, standardError } from './parts/mean.js';
import { openSpace } from './parts/measure-spaces.js';

const { values: flags } = parseArgs({
  options: {
    trials: { type: 'string', default: '120' },
    seeds: { type: 'string', default: '6' },
    first: { type: 'string', default: '1' },
    sampler: { type: 'string', default: 'linas' },
    images: { type: 'string', default: '1000' },
  },
});
const { signal } = new AbortController();
const budget = Number(flags.trials);
const space = openSpace('mbconv-fmnist-formats');
const { base } = space.formats as Formats;
const images = 'profiles/datasets/fashion-mnist';
const evaluator = new SupernetEvaluator({
  space,
  weights: supernetWeights('profiles/supernets', base.id),
  calibration: await readIdxImages(images, 'calibration'),
  validation: sliceImages(await readIdxImages(images, 'validation'), 0, Number(flags.images)),
  source: 'validation',
});
const objectives: Objective[] = [
  { metric: 'accuracy', goal: 'max' },
  { metric: 'weightBytes', goal: 'min' },
];
const floats = (space.dims?.length ?? 0) - (base.dims?.length ?? 0);
const inFloat = (architecture: Architecture): Architecture => [
  ...(architecture as readonly number[]),
  ...new Array<number>(floats).fill(0),
];

const known = new Map<string, Record<string, number>>();
/** Of an architecture of the space with formats. */
async function valuesOf(architecture: Architecture): Promise<Record<string, number>> {
  const key = JSON.stringify(architecture);
  const values = known.get(key) ?? {
    accuracy: (await evaluator.evaluate(architecture, { signal })).values.accuracy as number,
    weightBytes: space.stats(architecture).weightBytes,
  };
  known.set(key, values);
  return values;
}

interface Found {
  readonly architecture: Architecture;
  readonly cost: readonly [error: number, bytes: number];
}

async function search(
  of: Space,
  seed: number,
  trials: number,
  as: (a: Architecture) => Architecture,
): Promise<Found[]> {
  const sampler = createSampler(flags.sampler);
  const rng = Xoshiro128.fromSeed(seed);
  const bank = new PredictorBank({
    costViews: (a) => costViews(of, a as Architecture),
    decisionFeatures: (a) => decisionFeatures(of, a as Architecture),
    kindOf: (metric) => (metric === 'accuracy' ? 'quality' : 'cost'),
  });
  const history: Trial[] = [];
  while (history.length < trials) {
    if (sampler.needs.includes('predict')) bank.refit(history);
    const predict = bank.predict.bind(bank);
    const asked = sampler.ask(Math.min(10, trials - history.length), {
      space: of,
      rng,
      objectives,
      constraints: [],
      history,
      pending: [],
      budget: trials,
      ...(sampler.needs.includes('predict') && { predict }),
    });
    if (asked.length === 0) break;
    const told: Trial[] = [];
    for (const { architecture } of asked) {
      const values = await valuesOf(as(architecture));
      const id = architectureId(of.id, architecture);
      told.push({ number: history.length + told.length, id, architecture, state: 'complete', values });
    }
    sampler.tell(told);
    history.push(...told);
  }
  return history.map(({ architecture, values }) => found(as(architecture), values));
}

const found = (architecture: Architecture, values: Readonly<Record<string, number>>): Found => ({
  architecture,
  cost: [1 - (values.accuracy as number), values.weightBytes as number],
});
const covers = (a: Found, b: Found): boolean => a.cost[0] <= b.cost[0] && a.cost[1] <= b.cost[1];
const frontOf = (all: readonly Found[]): Found[] =>
  all.filter((one, i) => !all.some((other, k) => covers(other, one) && (!covers(one, other) || k < i)));

/** Search in float32, then formats for the front's members. */
async function quantiseAfter(seed: number): Promise<Found[]> {
  const first = await search(base, seed, Math.floor(budget / 2), inFloat);
  const members = frontOf(first).sort((a, b) => a.cost[0] - b.cost[0]);
  const seen = new Set(first.map(({ architecture }) => JSON.stringify(architecture)));
  const rng = Xoshiro128.fromSeed(seed + 1000);
  const all = [...first];
  for (let i = 0, tries = 0; all.length < budget && tries < 100 * budget; i++, tries++) {
    const { architecture } = members[i % members.length] as Found;
    const formats = Array.from({ length: floats }, () => (i < members.length ? 1 : randomInt(rng, 2)));
    const kept = (architecture as readonly number[]).slice(0, -floats);
    const variant = space.normalise([...kept, ...formats]);
    if (seen.has(JSON.stringify(variant))) continue;
    seen.add(JSON.stringify(variant));
    all.push(found(variant, await valuesOf(variant)));
  }
  return all;
}

const largest = space.stats(space.seeds?.().at(-1) as Architecture).weightBytes;
const share = (all: readonly Found[]): number =>
  hypervolume(
    all.map(({ cost }) => [...cost]),
    [0.2, largest],
  ) /
  (0.2 * largest);
const ends = ['Accurate', 'Middle', 'Small'] as const;
/** Of the whole front `a`, then of its thirds. */
function coverage(a: readonly Found[], b: readonly Found[]): number[] {
  const front = frontOf(a).sort((x, y) => x.cost[0] - y.cost[0]);
  const third = (k: number): Found[] =>
    front.slice(Math.round((k * front.length) / 3), Math.round(((k + 1) * front.length) / 3));
  return [front, third(0), third(1), third(2)].map((part) =>
    mean(part.map((one) => (b.some((other) => covers(other, one)) ? 1 : 0))),
  );
}

/** The median over searches of the least error within `bytes`; 1 where a search has none. */
const medianErrorWithin = (searches: readonly (readonly Found[])[], bytes: number): number =>
  median(
    searches.map((all) =>
      Math.min(1, ...all.filter(({ cost }) => cost[1] <= bytes).map(({ cost }) => cost[0])),
    ),
  );

/** Shares of sizes at which the median attainment surface of `a`, and of `b`, is ahead. */
function attainment(a: readonly (readonly Found[])[], b: readonly (readonly Found[])[]): [number, number] {
  const sizes = [...new Set([...a, ...b].flatMap(frontOf).map(({ cost }) => cost[1]))];
  const lead = sizes.map((bytes) => medianErrorWithin(b, bytes) - medianErrorWithin(a, bytes));
  return [mean(lead.map((by) => (by > 1e-9 ? 1 : 0))), mean(lead.map((by) => (by < -1e-9 ? 1 : 0)))];
}

const percent = (values: readonly number[]): string =>
  `${(100 * (values[0] as number)).toFixed(0)} % (${values
    .slice(1)
    .map((value) => (100 * value).toFixed(0))
    .join(', ')})`;
const results = [];
const searches = { joint: [] as Found[][], after: [] as Found[][] };
for (let seed = Number(flags.first); seed < Number(flags.first) + Number(flags.seeds); seed++) {
  const joint = await search(space, seed, budget, (a) => a);
  const after = await quantiseAfter(seed);
  searches.joint.push(joint);
  searches.after.push(after);
  const row = {
    joint: share(joint),
    after: share(after),
    jointCovered: coverage(joint, after),
    afterCovered: coverage(after, joint),
  };
  results.push(row);
  console.log(
    `seed ${seed}, ${budget} evaluations each: hypervolume joint ${row.joint.toFixed(4)}, quantised after ${row.after.toFixed(4)}; covered by the other front (thirds, the most accurate first): of the joint one ${percent(row.jointCovered)}, of the other ${percent(row.afterCovered)}`,
  );
}
const gains = results.map(({ joint, after }) => joint - after);
const figures: Record<string, number> = {
  'joint.hv': mean(results.map((row) => row.joint)),
  'after.hv': mean(results.map((row) => row.after)),
  'gain.mean': mean(gains),
  'gain.error': standardError(gains),
  'gain.t': mean(gains) / standardError(gains),
};
for (const [k, end] of ['', ...ends].entries()) {
  figures[`joint.covered${end}`] = mean(results.map((row) => row.jointCovered[k] as number));
  figures[`after.covered${end}`] = mean(results.map((row) => row.afterCovered[k] as number));
}
[figures['joint.ahead'], figures['after.ahead']] = attainment(searches.joint, searches.after);

const runtime = new SessionProcess();
const [smallInt8, small, largeInt8, large] = (space.seeds?.() ?? []).map((a) => space.network(a));
for (const [size, float, int8] of [
  ['smallest', small, smallInt8],
  ['largest', large, largeInt8],
] as [string, Graph, Graph][])
  figures[`int8Ratio.${size}`] = (await latencyRatios(runtime, [float, int8]))[1] as number;
await runtime.stop();
await evaluator.close();
console.log(JSON.stringify({ bench: 'formats', figures }));
