/** What each published method promises beyond the contract that all samplers keep. */
import t from 'tap';
import { type Architecture, architectureId } from '../../daemon/core/architecture.js';
import { shuffled, Xoshiro128 } from '../../daemon/core/rng.js';
import { kendall } from '../../daemon/predict/statistics.js';
import type { AskContext, EarlierStudy, Sampler, Trial } from '../../daemon/search/samplers/contract.js';
import { sampleDenoised } from '../../daemon/search/samplers/diffusionnag.js';
import { fitFbnetPredictor } from '../../daemon/search/samplers/fbnetv3.js';
import { normalScores } from '../../daemon/search/samplers/learning/bayesian-linear.js';
import { fitConfidenceBound } from '../../daemon/search/samplers/learning/confidence-bound.js';
import { OneHot } from '../../daemon/search/samplers/learning/one-hot.js';
import { type Policy, reinforce, softmax } from '../../daemon/search/samplers/learning/policy.js';
import { listArchitectures } from '../../daemon/search/samplers/list-space.js';
import { createSampler } from '../../daemon/search/samplers/registry.js';
import { nearestStudies } from '../../daemon/search/samplers/transfer-prior.js';
import { boundRatios } from '../../daemon/search/samplers/unas.js';
import type { Space } from '../../daemon/search/spaces/contract.js';
import { CellTableSpace } from '../../daemon/search/spaces/nasbench/table.js';
import { indexMoves } from '../../daemon/search/spaces/parts/index-moves.js';

t.setTimeout(900_000);

/** `decisions` choices of `choices` each; nothing to build. */
function plainSpace(decisions: number, choices: number): Space {
  const dims = Array.from({ length: decisions }, (_, i) => ({
    name: `d${i}`,
    choices: Array.from({ length: choices }, (_, c) => c),
  }));
  const total = (a: Architecture): number => (a as readonly number[]).reduce((sum, c) => sum + c, 0);
  return {
    id: 'plain',
    dims,
    size: choices ** decisions,
    ...indexMoves('plain', dims, (indices) => indices),
    stats: (a) => ({
      macs: total(a),
      parameters: total(a),
      weightBytes: 4 * total(a),
      peakActivationBytes: total(a),
    }),
    features: (a) => new Map([['macs', total(a)]]),
    network: new CellTableSpace().network,
  };
}

interface StudyOptions {
  readonly space: Space;
  readonly values: (indices: readonly number[]) => Record<string, number>;
  readonly trials: number;
  readonly seed?: number;
  readonly batch?: number;
  readonly objectives?: AskContext['objectives'];
  readonly constraints?: AskContext['constraints'];
  readonly earlier?: readonly EarlierStudy[];
}

function study(sampler: Sampler, o: StudyOptions): Trial[] {
  const { space, objectives = [{ metric: 'accuracy', goal: 'max' }], constraints = [] } = o;
  const rng = Xoshiro128.fromSeed(o.seed ?? 1);
  const history: Trial[] = [];
  while (history.length < o.trials) {
    const context = { space, rng, objectives, constraints, history: [...history], pending: [] };
    const asked = sampler.ask(o.batch ?? 10, { ...context, ...(o.earlier && { earlier: o.earlier }) });
    if (asked.length === 0) break;
    const told = asked.map(({ architecture }, i): Trial => {
      const values = o.values(architecture as readonly number[]);
      const broken = constraints.some(({ metric, max }) => (values[metric] as number) > max);
      const state = broken ? 'infeasible' : 'complete';
      return {
        number: history.length + i,
        id: architectureId(space.id, architecture),
        architecture,
        state,
        values,
      };
    });
    sampler.tell(told);
    history.push(...told);
  }
  return history;
}

t.test('proxylessnas-r: one step is the paper’s, written out by hand', async (t) => {
  const before: Policy = {
    logits: [
      [0.3, -0.2, 0.1],
      [0.5, 0],
    ],
    first: [
      [0, 0, 0],
      [0, 0],
    ],
    second: [
      [0.02, 0.01, 0],
      [0.005, 0.3],
    ],
    t: 4,
    baseline: 0.6,
  };
  const samples = [
    { indices: [0, 1], reward: 0.8 },
    { indices: [2, 1], reward: 0.5 },
    { indices: [1, 0], reward: 0.65 },
  ];
  const after = reinforce(before, samples, { rate: 0.001, baselineStep: 0.99, beta1: 0, beta2: 0.999 });
  const meanReward = (0.8 + 0.5 + 0.65) / 3;
  t.ok(Math.abs((after.baseline as number) - (0.6 + 0.99 * (meanReward - 0.6))) < 1e-12);
  before.logits.forEach((row, i) => {
    const sum = row.reduce((total, a) => total + Math.exp(a), 0);
    row.forEach((alpha, j) => {
      const p = Math.exp(alpha) / sum;
      // (R - b) times the gradient of -ln p(chosen), averaged over the sampled networks.
      let gradient = 0;
      for (const { indices, reward } of samples)
        gradient += (reward - 0.6) * (p - (indices[i] === j ? 1 : 0));
      gradient /= samples.length;
      const v = 0.999 * (before.second[i]?.[j] as number) + 0.001 * gradient ** 2;
      const expected = alpha - (0.001 * gradient) / (Math.sqrt(v / (1 - 0.999 ** 5)) + 1e-8);
      t.ok(Math.abs((after.logits[i]?.[j] as number) - expected) < 1e-12, `alpha ${i} ${j}`);
    });
  });
});

t.test('proxylessnas-r: its probability mass ends on the better half of the blocks', async (t) => {
  const space = plainSpace(8, 6);
  const sampler = createSampler('proxylessnas-r');
  // Blocks 3 to 5 are the better half, each better by a little.
  const values = (a: readonly number[]) => ({ accuracy: 0.5 + 0.05 * a.filter((c) => c >= 3).length });
  study(sampler, { space, values, trials: 800 });
  const { value } = sampler.state() as unknown as { value: { policy: Policy } };
  const masses = value.policy.logits.map((row) =>
    softmax(row)
      .slice(3)
      .reduce((a, b) => a + b, 0),
  );
  t.ok(
    masses.every((mass) => mass > 0.5),
    masses.map((m) => m.toFixed(2)).join(' '),
  );
  t.ok(masses.reduce((a, b) => a + b, 0) / 8 > 0.75);
});

t.test('unas: a front under four limits at once, and no weight to tune', async (t) => {
  const space = plainSpace(6, 5);
  const values = (a: readonly number[]) => {
    const sum = a.reduce((x, y) => x + y, 0);
    return {
      accuracy: 0.5 + sum / 60,
      latencyUs: 10 + sum * sum,
      peakBytes: 100 * Math.max(...a),
      macs: 5 * sum,
      parameters: 3 * sum,
    };
  };
  const constraints = [
    { metric: 'latencyUs', max: 300 },
    { metric: 'peakBytes', max: 350 },
    { metric: 'macs', max: 80 },
    { metric: 'parameters', max: 45 },
  ];
  const objectives = [
    { metric: 'accuracy', goal: 'max' },
    { metric: 'latencyUs', goal: 'min' },
  ] as const;
  const share = (name: string): number =>
    study(createSampler(name), { space, values, trials: 300, constraints, objectives })
      .slice(100)
      .filter((x) => x.state === 'complete').length / 200;
  t.ok(
    share('unas') > 1.5 * share('random'),
    `${share('unas')} of its trials keep all four limits, random ${share('random')}`,
  );
  const best = study(createSampler('unas'), { space, values, trials: 300, constraints, objectives })
    .filter((x) => x.state === 'complete')
    .map((x) => x.values.accuracy as number);
  t.ok(
    Math.max(...best) >= 0.5 + 14 / 60,
    `${Math.max(...best)}: at most 15 of 24 steps are within the limits`,
  );
  const context = { objectives, constraints } as unknown as AskContext;
  const trial = {
    state: 'complete',
    values: { accuracy: 0.9, latencyUs: 150, peakBytes: 700, macs: 80, parameters: 9 },
  } as unknown as Trial;
  t.same(boundRatios(context, [trial])[0]?.slice(1), [0.5, 2, 1, 0.2], 'metric over bound');
});

t.test('hhnas-am: the probability of what matters rises, and its log shows probabilities move', async (t) => {
  const space = plainSpace(8, 6);
  // Only decision 2 matters.
  const values = (a: readonly number[]) => ({ accuracy: 0.5 + 0.08 * (a[2] as number) });
  const sampler = createSampler('hhnas-am', { population: 20 });
  study(sampler, { space, values, trials: 250 });
  const { value } = sampler.state() as unknown as { value: { values: number[][] } };
  const spreads = value.values.map((row) => Math.max(...row) - Math.min(...row));
  t.equal(spreads.indexOf(Math.max(...spreads)), 2, spreads.map((s) => s.toFixed(2)).join(' '));
});

t.test('mcts and smbo search trees of decisions; smbo learns from hashed labels', async (t) => {
  const space = plainSpace(6, 6);
  const values = (a: readonly number[]) => ({
    accuracy: a.reduce((sum, c, i) => sum + (c === i ? 0.1 : 0), 0.3),
  });
  const best = (name: string, seed: number): number =>
    Math.max(
      ...study(createSampler(name), { space, values, trials: 150, seed }).map(
        (x) => x.values.accuracy as number,
      ),
    );
  const mean = (name: string): number => [1, 2, 3].reduce((sum, seed) => sum + best(name, seed) / 3, 0);
  t.ok(mean('smbo') > mean('random') + 0.05, `${mean('smbo')} against ${mean('random')}`);
  t.ok(mean('mcts') >= mean('random') - 0.1, 'no claim beyond random');
});

t.test('fbnetv5: one run serves three devices', async (t) => {
  const space = plainSpace(6, 5);
  const at = (a: readonly number[], device: number): number =>
    a.reduce((sum, c, i) => sum + c * (i % 3 === device ? 4 : 1), 1);
  const values = (a: readonly number[]) => ({
    accuracy: 0.5 + a.reduce((sum, c) => sum + c, 0) / 48,
    latencyUs: at(a, 0),
    'latencyUs@b': at(a, 1),
    'latencyUs@c': at(a, 2),
  });
  const tasks = ['latencyUs', 'latencyUs@b', 'latencyUs@c'].map((metric) => ({
    name: metric,
    metric,
    max: 26,
  }));
  const trials = 300;
  const bestOf = (history: readonly Trial[], metric: string): number =>
    Math.max(
      ...history.filter((x) => (x.values[metric] as number) <= 26).map((x) => x.values.accuracy as number),
    );
  let [shared, own] = [0, 0];
  for (const seed of [1, 2, 3]) {
    const one = study(createSampler('fbnetv5', { tasks }), { space, values, trials, seed });
    for (const task of tasks) {
      shared += bestOf(one, task.metric) / 9;
      own +=
        bestOf(
          study(createSampler('fbnetv5', { tasks: [task] }), { space, values, trials, seed }),
          task.metric,
        ) / 9;
    }
  }
  t.ok(
    shared > own - 0.05,
    `one run of ${trials}: ${shared.toFixed(3)}; three runs of ${trials}: ${own.toFixed(3)}`,
  );
});

t.test('fbnetv3: an encoder that knows the free statistics ranks better with few labels', async (t) => {
  const space = plainSpace(8, 4);
  const rng = Xoshiro128.fromSeed(3);
  // Accuracy follows capacity, and one decision against it.
  const truth = (a: Architecture): number =>
    Math.sqrt((a as readonly number[]).reduce((sum, c) => sum + c, 0)) -
    0.15 * ((a as readonly number[])[5] as number);
  const test = Array.from({ length: 300 }, () => space.sample(rng));
  const tau = (labels: number, pretrain: boolean): number => {
    let sum = 0;
    for (let round = 0; round < 3; round++) {
      const train = Array.from({ length: labels }, () => space.sample(rng));
      const predict = fitFbnetPredictor(space, train, normalScores(train.map(truth)), { pretrain });
      sum += kendall(test.map(predict), test.map(truth)) / 3;
    }
    return sum;
  };
  const [withStatistics, without] = [tau(25, true), tau(25, false)];
  t.ok(withStatistics > without, `${withStatistics.toFixed(3)} against ${without.toFixed(3)}`);
});

t.test(
  'diffusionnag: all generated are valid, guidance lifts the mean by a standard deviation',
  async (t) => {
    const space = new CellTableSpace('cells');
    const rng = Xoshiro128.fromSeed(5);
    // 3x3 convolutions are good, empty edges bad.
    const accuracy = (a: Architecture): number =>
      (a as readonly number[]).reduce((sum, op) => sum + ([-1, 0.5, 0.7, 1, 0][op] as number), 0);
    const free = sampleDenoised({ space, rng }, 1000);
    t.equal(free.length, 1000);
    for (const cell of free) space.normalise(cell);
    const guided = sampleDenoised({ space, rng }, 64, accuracy, 2);
    const mean = (list: readonly Architecture[]): number =>
      list.reduce((sum, a) => sum + accuracy(a) / list.length, 0);
    const deviation = Math.sqrt(
      free.reduce((sum, a) => sum + (accuracy(a) - mean(free)) ** 2 / free.length, 0),
    );
    t.ok(
      mean(guided) > mean(free) + deviation,
      `${mean(guided).toFixed(2)} against ${mean(free).toFixed(2)} ± ${deviation.toFixed(2)}`,
    );
  },
);

t.test('diffusionnag: as a pool it finds smbo better networks where a limit binds', async (t) => {
  const space = plainSpace(10, 6);
  const worth = (a: readonly number[]): number =>
    a.reduce((sum, c, i) => sum + (c + 1) * (i + 1) * (c === 3 ? 1.5 : 1), 0);
  const values = (a: readonly number[]) => ({
    accuracy: worth(a) / 400,
    latencyUs: a.reduce((sum, c, i) => sum + c * c * (1 + ((7 * i) % 5)), 1),
  });
  const best = (pool: string, seed: number): number =>
    Math.max(
      ...study(createSampler('smbo', { pool }), {
        space,
        values,
        trials: 120,
        seed,
        constraints: [{ metric: 'latencyUs', max: 100 }],
      })
        .filter(({ state }) => state === 'complete')
        .map((x) => x.values.accuracy as number),
    );
  const gains = [1, 2, 3, 4, 5].map((seed) => best('diffusion', seed) - best('random', seed));
  t.ok(
    gains.filter((gain) => gain > 0).length >= 4,
    `gains by seed: ${gains.map((g) => g.toFixed(3)).join(' ')}`,
  );
});

t.test(
  'transfer: the nearest study is the one whose device is alike, and it saves evaluations',
  async (t) => {
    const space = plainSpace(8, 5);
    const optimum = [4, 0, 3, 1, 2, 4, 0, 2];
    const device = (target: readonly number[]) => (a: readonly number[]) => ({
      accuracy: 1 - a.reduce((sum, c, i) => sum + Math.abs(c - (target[i] as number)), 0) / 32,
    });
    const bankOf = (id: string, target: readonly number[], seed: number): EarlierStudy => ({
      id,
      objectives: [{ metric: 'accuracy', goal: 'max' }],
      constraints: [],
      history: study(createSampler('regularized-evolution'), {
        space,
        values: device(target),
        trials: 200,
        seed,
      }),
    });
    const earlier = [
      bankOf(
        'unlike',
        optimum.map((c) => 4 - c),
        11,
      ),
      bankOf(
        'alike',
        optimum.map((c, i) => (i === 0 ? 3 : c)),
        12,
      ),
    ];
    const values = device(optimum);
    const reached = (history: readonly Trial[]): number =>
      history.findIndex((x) => (x.values.accuracy as number) >= 0.93) + 1 || history.length;
    const runs = [1, 2, 3].map((seed) => ({
      prior: reached(study(createSampler('transfer-prior'), { space, values, trials: 300, seed, earlier })),
      alone: reached(study(createSampler('regularized-evolution'), { space, values, trials: 300, seed })),
      auto: reached(study(createSampler('auto'), { space, values, trials: 60, seed, earlier })),
    }));
    const first = study(createSampler('auto'), { space, values, trials: 10, seed: 1, earlier });
    const bests = earlier.map((known) =>
      known.history.reduce((a, b) => ((b.values.accuracy as number) > (a.values.accuracy as number) ? b : a)),
    );
    t.same(
      first.slice(0, 2).map(({ architecture }) => architecture),
      bests.map(({ architecture }) => architecture),
      'auto begins with the best of two earlier studies',
    );
    const mean = (key: 'prior' | 'alone' | 'auto'): number =>
      runs.reduce((sum, r) => sum + r[key] / runs.length, 0);
    t.ok(3 * mean('prior') <= mean('alone'), `${mean('prior')} against ${mean('alone')} trials`);
    t.ok(mean('auto') <= 30, `${mean('auto')}`);
    const history = study(createSampler('random'), { space, values, trials: 20 });
    const context = {
      space,
      history,
      objectives: [{ metric: 'accuracy', goal: 'max' }],
      constraints: [],
      earlier,
    };
    t.equal(nearestStudies(context as unknown as AskContext, 1)[0]?.study.id, 'alike');
  },
);

t.test('einspace’s start: seeds come first, so a seeded evolution never ends below its seed', async (t) => {
  const space: Space = { ...plainSpace(6, 6), seeds: () => [[3, 3, 3, 3, 3, 3]] };
  const values = (a: readonly number[]) => ({ accuracy: a.reduce((sum, c) => sum + c, 0) / 30 });
  const history = study(createSampler('regularized-evolution', { start: 'seeds', population: 20 }), {
    space,
    values,
    trials: 60,
  });
  t.same(history[0]?.architecture, [3, 3, 3, 3, 3, 3]);
  t.ok(Math.max(...history.map((x) => x.values.accuracy as number)) >= 18 / 30);
});

t.test('boshnas: trials beyond a limit teach their cost alone, and the best lies at the limit', async (t) => {
  const space = plainSpace(3, 4);
  const oneHot = new OneHot(space);
  const sum = (a: Architecture): number => (a as readonly number[]).reduce((x, y) => x + y, 0);
  const all = listArchitectures(space);
  const trials = shuffled(Xoshiro128.fromSeed(2), all)
    .slice(0, 40)
    .map((architecture, number): Trial => {
      const cost = sum(architecture) + 1;
      const id = architectureId(space.id, architecture);
      return cost <= 6
        ? { number, id, architecture, state: 'complete', values: { accuracy: cost, latencyUs: cost } }
        : { number, id, architecture, state: 'infeasible', values: { latencyUs: cost } };
    });
  const bound = fitConfidenceBound(
    {
      objectives: [{ metric: 'accuracy', goal: 'max' }],
      constraints: [{ metric: 'latencyUs', max: 6 }],
    },
    trials,
    trials.map(({ architecture }) => oneHot.encode(architecture)),
    { members: 4, hidden: 12 },
    Xoshiro128.fromSeed(1),
  );
  const { value } = bound.acquisition([1]);
  const ranked = [...all].sort((a, b) => value(oneHot.encode(b)) - value(oneHot.encode(a)));
  const top = ranked.slice(0, 8).map(sum);
  t.ok(top.filter((cost) => cost === 5).length >= 6, `sums of the best eight: ${top}`);
  t.ok(
    ranked.slice(-8).every((a) => sum(a) >= 7),
    'the dearest come last though their accuracy is unknown',
  );
});
