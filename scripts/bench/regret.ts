/**
 * Mean regret of every sampler on NAS-Bench-201's published tables (imported values): CIFAR-100 accuracy under the
 * 25th percentile of pixel3's latency. `npm run bench -- regret [--data DIR] [--seeds N] [--samplers a,b] [--trials N]`.
 *
 * As in a study, a trial that breaks the limit tells its latency but not its accuracy. Regret is the best accuracy that
 * the limit allows minus the best found so far, in points. `toWithin1` counts trials until it is below 1 (the budget
 * where it never is). `autoTransfer` is `auto` with a bank of finished studies on other devices and other data sets,
 * `smboDiffusion` is `smbo` on a pool of DiffusionNAG's samples.
 */
import { parseArgs } from 'node:util';
import { architectureId } from '../../daemon/core/architecture.js';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import { PredictorBank } from '../../daemon/predict/bank.js';
import type { EarlierStudy, Trial } from '../../daemon/search/samplers/contract.js';
import { createSampler, samplerNames } from '../../daemon/search/samplers/registry.js';
import { cellDecisions } from '../../daemon/search/spaces/nasbench/table.js';
import { costViews } from '../../daemon/search/spaces/parts/cost-views.js';
import { mean, standardError } from './parts/mean.js';
import { type CellValues, openNb201 } from './parts/nb201.js';

const { values: args } = parseArgs({
  options: {
    data: { type: 'string', default: '../shared/data' },
    seeds: { type: 'string', default: '30' },
    first: { type: 'string', default: '1' },
    trials: { type: 'string', default: '1000' },
    samplers: { type: 'string', default: [...samplerNames, 'autoTransfer', 'smboDiffusion'].join(',') },
    options: { type: 'string', default: '{}' },
    /** Of all 15,625 rows, or of the live cells alone. */
    percentile: { type: 'string', default: 'all' },
  },
});
const { space, cells, rows: allRows } = openNb201('regret', args.data);
const seeds = Number(args.seeds);
const budget = Number(args.trials);
const checkpoints = [50, 100, 200, 1000].filter((n) => n <= budget);
const batch = 10;
/** Tasks of the transfer bank: none shares the target's device or data set. */
const bankTasks = [
  ['c10_test200', 'lat_1080ti_1'],
  ['c10_test200', 'lat_samsung_a50'],
  ['c10_test200', 'lat_silver_4114'],
  ['in16_test200', 'lat_1080ti_32'],
  ['in16_test200', 'lat_essential_ph_1'],
  ['in16_test200', 'lat_samsung_s7'],
] as const;
const bankTrials = 200;

interface Task {
  readonly accuracy: string;
  readonly latency: string;
  /** Milliseconds. */
  readonly limit: number;
  readonly best: number;
}

function taskOf(accuracy: string, latency: string): Task {
  const all = [...cells.values()];
  const sorted = (args.percentile === 'live' ? all : allRows)
    .map((cell) => cell[latency] as number)
    .sort((a, b) => a - b);
  const limit = sorted[Math.floor(sorted.length / 4)] as number;
  const allowed = all.filter((cell) => (cell[latency] as number) <= limit);
  return { accuracy, latency, limit, best: Math.max(...allowed.map((cell) => cell[accuracy] as number)) };
}

interface Run {
  readonly history: readonly Trial[];
  /** Milliseconds in `ask` and `tell`, by trial number at which the batch was asked. */
  readonly samplerMs: readonly { readonly at: number; readonly perProposal: number }[];
}

/** Labels of this table that are a sampler with options. */
const variants: Readonly<Record<string, { readonly name: string; readonly options: object }>> = {
  autoTransfer: { name: 'auto', options: {} },
  smboDiffusion: { name: 'smbo', options: { pool: 'diffusion' } },
};

function run(label: string, seed: number, task: Task, trials: number, earlier: readonly EarlierStudy[]): Run {
  const { name, options } = variants[label] ?? { name: label, options: {} };
  const sampler = createSampler(name, { ...JSON.parse(args.options), ...options });
  const rng = Xoshiro128.fromSeed(seed);
  const bank = new PredictorBank({
    costViews: (a) => costViews(space, a),
    decisionFeatures: (a) => cellDecisions(a as readonly number[]),
    kindOf: (metric) => (metric === 'accuracy' ? 'quality' : 'cost'),
  });
  const constraints = [{ metric: 'latencyMs', max: task.limit }];
  const history: Trial[] = [];
  const samplerMs: { at: number; perProposal: number }[] = [];
  while (history.length < trials) {
    const predicts = sampler.needs.includes('predict');
    if (predicts) bank.refit(history);
    const start = process.cpuUsage();
    const proposals = sampler.ask(Math.min(batch, trials - history.length), {
      space,
      rng,
      objectives: [{ metric: 'accuracy', goal: 'max' }],
      constraints,
      history,
      pending: [],
      ...(predicts && { predict: bank.predict.bind(bank) }),
      ...(earlier.length > 0 && { earlier }),
    });
    samplerMs.push({ at: history.length, perProposal: cpuMs(start) / proposals.length });
    const told = proposals.map(({ architecture }, i): Trial => {
      const cell = cells.get((architecture as readonly number[]).join('')) as CellValues;
      const latencyMs = cell[task.latency] as number;
      const feasible = latencyMs <= task.limit;
      return {
        number: history.length + i,
        id: architectureId(space.id, architecture),
        architecture,
        state: feasible ? 'complete' : 'infeasible',
        values: feasible ? { accuracy: cell[task.accuracy] as number, latencyMs } : { latencyMs },
      };
    });
    if (told.length === 0) break;
    sampler.tell(told);
    history.push(...told);
  }
  return { history, samplerMs };
}

/** CPU time, which a busy machine does not stretch. */
function cpuMs(start: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000;
}

const target = taskOf('c100_test200', 'lat_pixel3');
/** A bank as a user has it: one finished study a task, by regularized evolution, each with a seed of its own. */
const earlier =
  args.samplers.includes('Transfer') || args.samplers.includes('transfer')
    ? bankTasks.map(([accuracy, latency], i): EarlierStudy => {
        const task = taskOf(accuracy, latency);
        return {
          id: `${accuracy} ${latency}`,
          objectives: [{ metric: 'accuracy', goal: 'max' }],
          constraints: [{ metric: 'latencyMs', max: task.limit }],
          history: run('regularized-evolution', 1000 + i, task, bankTrials, []).history,
        };
      })
    : [];

const figures: Record<string, number> = {};
console.log(`limit ${target.limit} ms, best ${target.best} %, ${seeds} seeds; mean regret in points ± s.e.`);
for (const label of args.samplers.split(',')) {
  const known = label === 'autoTransfer' || label === 'transfer-prior' ? earlier : [];
  const regrets: number[][] = checkpoints.map(() => []);
  const within: number[] = [];
  let lateMs = 0;
  for (let seed = Number(args.first); seed < Number(args.first) + seeds; seed++) {
    const { history, samplerMs } = run(label, seed, target, budget, known);
    let best = 0;
    let reached = budget;
    history.forEach(({ values, state, number }) => {
      if (state === 'complete') best = Math.max(best, values.accuracy as number);
      if (target.best - best < 1) reached = Math.min(reached, number + 1);
      const i = checkpoints.indexOf(number + 1);
      if (i >= 0) regrets[i]?.push(target.best - best);
    });
    within.push(reached);
    lateMs += (samplerMs.at(-1)?.perProposal ?? 0) / seeds;
  }
  checkpoints.forEach((n, i) => {
    figures[`${label}.r${n}`] = Number(mean(regrets[i] as number[]).toFixed(3));
  });
  figures[`${label}.toWithin1`] = Number(mean(within).toFixed(1));
  figures[`${label}.msPerProposal`] = Number(lateMs.toFixed(2));
  const cellsOf = regrets.map((list) => `${mean(list).toFixed(3)} ± ${standardError(list).toFixed(3)}`);
  console.log(
    `${label.padEnd(22)} ${cellsOf.join('  ')}  within 1: ${mean(within).toFixed(0).padStart(4)}  ${lateMs.toFixed(1)} ms/proposal at the end`,
  );
}
console.log(JSON.stringify({ bench: 'regret', figures }));
