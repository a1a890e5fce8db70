/**
 * Hypervolume of every sampler on NAS-Bench-201's published tables (imported values): CIFAR-10 accuracy against each
 * device's latency, as a share of what the whole table's front spans, mean over seeds ± standard error.
 * `npm run bench -- search [--data DIR] [--seeds N] [--columns a,b] [--samplers a,b] [--options JSON]`.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { architectureId } from '../../daemon/core/architecture.js';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import { PredictorBank } from '../../daemon/predict/bank.js';
import { hypervolume } from '../../daemon/search/pareto/hypervolume.js';
import type { Objective, Trial } from '../../daemon/search/samplers/contract.js';
import { createSampler, samplerNames } from '../../daemon/search/samplers/registry.js';
import { CellTableSpace, cellDecisions } from '../../daemon/search/spaces/nasbench/table.js';
import { mean, standardError } from './parts/mean.js';

const { values: args } = parseArgs({
  options: {
    data: { type: 'string', default: '../shared/data' },
    seeds: { type: 'string', default: '10' },
    columns: { type: 'string', default: 'pixel3,raspi4,fpga' },
    samplers: { type: 'string', default: samplerNames.join(',') },
    /** Of every sampler named. */
    options: { type: 'string', default: '{}' },
  },
});
const file = join(args.data, 'nb201.csv.gz');
if (!existsSync(file)) {
  console.error(`bench search: ${file} is missing; name the folder that holds it with --data DIR`);
  process.exit(1);
}
const lines = gunzipSync(readFileSync(file))
  .toString('utf8')
  .trim()
  .split('\n')
  .map((line) => line.split(','));
const header = lines[0] as string[];
const rows = lines.slice(1);
const space = new CellTableSpace('nb201');
const checkpoints = [100, 200, 400];
const batch = 10;
const objectives: Objective[] = [
  { metric: 'accuracy', goal: 'max' },
  { metric: 'latencyMs', goal: 'min' },
];
const figures: Record<string, number> = {};

for (const column of args.columns.split(',')) {
  const at = {
    ops: header.indexOf('ops'),
    accuracy: header.indexOf('c10_test200'),
    latency: header.indexOf(`lat_${column}`),
  };
  const table = new Map<string, { accuracy: number; latencyMs: number }>();
  for (const row of rows) {
    const ops = row[at.ops] as string;
    const cell = [...ops].map(Number);
    try {
      space.normalise(cell);
    } catch {
      continue; // No path from input to output.
    }
    table.set(cell.join(''), { accuracy: Number(row[at.accuracy]), latencyMs: Number(row[at.latency]) });
  }
  const points = [...table.values()].map(({ accuracy, latencyMs }) => [-accuracy, latencyMs]);
  // The worst corner of the live cells: fixed by the table, so that shares compare across samplers.
  const reference = [
    Math.max(...points.map((p) => p[0] as number)),
    Math.max(...points.map((p) => p[1] as number)),
  ];
  const whole = hypervolume(points, reference);

  for (const name of args.samplers.split(',')) {
    const shares = checkpoints.map((): number[] => []);
    for (let seed = 1; seed <= Number(args.seeds); seed++) {
      run(name, seed, table).forEach((points, i) => {
        shares[i]?.push(hypervolume(points, reference) / whole);
      });
    }
    checkpoints.forEach((n, i) => {
      figures[`${name}.${column}.hv${n}`] = Number(mean(shares[i] as number[]).toFixed(5));
    });
    const texts = shares.map((list) => `${mean(list).toFixed(4)} ± ${standardError(list).toFixed(4)}`);
    console.log(`${column.padEnd(8)} ${name.padEnd(24)} ${texts.join('  ')}`);
  }
}
console.log(JSON.stringify({ bench: 'search', figures }));

/** The measured points at each checkpoint. */
function run(
  name: string,
  seed: number,
  table: ReadonlyMap<string, { accuracy: number; latencyMs: number }>,
): number[][][] {
  const sampler = createSampler(name, JSON.parse(args.options));
  const rng = Xoshiro128.fromSeed(seed);
  const bank = new PredictorBank({
    costViews: (a) => space.views(a),
    decisionFeatures: (a) => cellDecisions(a as readonly number[]),
    kindOf: (metric) => (metric === 'accuracy' ? 'quality' : 'cost'),
  });
  const history: Trial[] = [];
  const snapshots: number[][][] = [];
  for (const checkpoint of checkpoints) {
    while (history.length < checkpoint) {
      const predicts = sampler.needs.includes('predict');
      if (predicts) bank.refit(history);
      const predict = bank.predict.bind(bank);
      const context = {
        space,
        rng,
        objectives,
        constraints: [],
        history,
        pending: [],
        ...(predicts ? { predict } : {}),
      };
      const trials = sampler
        .ask(Math.min(batch, checkpoint - history.length), context)
        .map(({ architecture }, i): Trial => {
          const values = table.get((architecture as readonly number[]).join(''));
          if (!values) throw new Error(`the table has no row for ${JSON.stringify(architecture)}`);
          return {
            number: history.length + i,
            id: architectureId(space.id, architecture),
            architecture,
            state: 'complete',
            values: { ...values },
          };
        });
      if (trials.length === 0) break;
      sampler.tell(trials);
      history.push(...trials);
    }
    snapshots.push(history.map(({ values }) => [-(values.accuracy as number), values.latencyMs as number]));
  }
  return snapshots;
}
