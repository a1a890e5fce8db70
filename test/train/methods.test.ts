/** Methods of search that train: their arithmetic, and their claims on small networks. */
import fc from 'fast-check';
import t from 'tap';
import { gaussian, randomInt, Xoshiro128 } from '../../daemon/core/rng.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';
import { mbconvFileSchema } from '../../daemon/search/spaces/mbconv/file.js';
import { mbconvSpace } from '../../daemon/search/spaces/mbconv/mbconv.js';
import { additiveOf, cheapestAtLevel, fitAdditive } from '../../daemon/train/additive-accuracy.js';
import { Batches } from '../../daemon/train/batches.js';
import { costOf } from '../../daemon/train/block-costs.js';
import { deriveWinners } from '../../daemon/train/derive-winners.js';
import { addGradientNoise } from '../../daemon/train/gradient-noise.js';
import { growth, morph } from '../../daemon/train/morphs.js';
import {
  alphaGradient,
  combineLoss,
  drawPair,
  expectedLatency,
  rescalePair,
  softmaxOf,
} from '../../daemon/train/path-binarisation.js';
import { proxylessSearch } from '../../daemon/train/proxyless-search.js';
import { cosinePowerAnnealing, maxWeights, maxWeightsGradient } from '../../daemon/train/sharp-darts.js';
import { fullDims, initialise, tensorsOf } from '../../daemon/train/weights/initial-weights.js';
import type { NamedTensor } from '../../daemon/train/weights/safetensors.js';
import { SharedWeights } from '../../daemon/train/weights/shared-weights.js';

const { signal } = new AbortController();
t.setTimeout(900_000);

const file = mbconvFileSchema.parse({
  kind: 'mbconv',
  id: 'three-layers',
  input: [1, 12, 12],
  classes: 4,
  stem: { width: 4, kernel: 3, stride: 1 },
  firstWidth: 4,
  stages: [
    { width: 8, layers: 2, stride: 2 },
    { width: 8, layers: 1, stride: 1 },
  ],
  kernels: [3, 5],
  expansions: [1, 2, 4],
  skip: true,
  headWidth: 16,
});
const space = mbconvSpace(file);

t.test('path binarisation: slopes by finite differences; a pair keeps its share', async (t) => {
  const alphas = [0.4, -0.3, 0.1, 0];
  const gates = [0.7, -1.2, 0.3, 0.5];
  const table = [3, 9, 4, 0];
  const numeric = (of: (a: readonly number[]) => number, i: number): number => {
    const [up, down] = [1e-6, -1e-6].map((d) => of(alphas.map((a, k) => (k === i ? a + d : a)))) as [
      number,
      number,
    ];
    return (up - down) / 2e-6;
  };
  const task = (a: readonly number[]): number =>
    softmaxOf(a).reduce((sum, p, j) => sum + p * (gates[j] as number), 0);
  const latency = (a: readonly number[]): number => expectedLatency(softmaxOf(a), table).value;
  const p = softmaxOf(alphas);
  alphas.forEach((_, i) => {
    t.ok(Math.abs((alphaGradient(gates, p)[i] as number) - numeric(task, i)) < 1e-8);
    t.ok(Math.abs((expectedLatency(p, table).gradient[i] as number) - numeric(latency, i)) < 1e-8);
  });
  for (const spec of [
    { kind: 'mul#log', alpha: 0.2, beta: 0.3, reference: 80 },
    { kind: 'add#linear', lambda: 0.1, reference: 80 },
  ] as const) {
    const at = combineLoss(spec, 1.7, 95);
    const slope = (combineLoss(spec, 1.7, 95.001).loss - combineLoss(spec, 1.7, 94.999).loss) / 0.002;
    t.ok(Math.abs(at.byLatency - slope) < 1e-8, spec.kind);
    t.ok(Math.abs(at.byTask - (combineLoss(spec, 2.7, 95).loss - at.loss)) < 1e-12);
  }
  // Doubling 80 ms multiplies the loss by 1.045.
  const mul = { kind: 'mul#log', alpha: 0.2, beta: 0.3, reference: 80 } as const;
  t.ok(Math.abs(combineLoss(mul, 1, 160).loss / combineLoss(mul, 1, 80).loss - 1.045) < 0.001);

  const rng = Xoshiro128.fromSeed(1);
  for (let i = 0; i < 50; i++) {
    const { choices, q } = drawPair(alphas, rng);
    t.not(choices[0], choices[1]);
    t.ok(Math.abs(q[0] + q[1] - 1) < 1e-12);
    const moved = alphas.map((a, k) => (choices.includes(k) ? a + rng.next() - 0.5 : a));
    const after = softmaxOf(rescalePair(alphas, moved, choices));
    after.forEach((value, k) => {
      if (!choices.includes(k))
        t.ok(Math.abs(value - (p[k] as number)) < 1e-12, 'others keep their probability');
    });
    const share = (list: readonly number[]): number =>
      (list[choices[0]] as number) + (list[choices[1]] as number);
    t.ok(Math.abs(share(after) - share(p)) < 1e-12);
  }
  // Decided as far as doubles go: the paths are two all the same.
  for (let i = 0; i < 50; i++) {
    const { choices } = drawPair([0, 900, 0, -5], rng);
    t.equal(choices[0], 1);
    t.not(choices[1], 1);
  }
});

t.test(
  'gradient ProxylessNAS: two tables, two winners, each faster by its own table; both modes',
  async (t) => {
    const runtime = new SessionProcess({ memoryLimitBytes: null });
    t.teardown(() => runtime.stop());
    const weights = new SharedWeights(initialise(space, Xoshiro128.fromSeed(3)));
    const rng = Xoshiro128.fromSeed(4);
    const images = {
      count: 64,
      channels: 1,
      height: 12,
      width: 12,
      pixels: Float32Array.from({ length: 64 * 144 }, () => gaussian(rng)),
      labels: Uint8Array.from({ length: 64 }, (_, i) => i % 4),
    };
    const batches = new Batches(images, { size: 16, seed: 1, augmentation: { flip: false, shiftPixels: 0 } });
    const names = space.dims?.map((dim) => dim.choices.map(String)) ?? [];
    // One target pays for kernels, the other for expansions.
    const tables = [/k(\d)/, /e(\d)/].map((pattern) =>
      names.map((choices) =>
        choices.map((name) => (name === 'skip' ? 1 : 4 * Number(pattern.exec(name)?.[1]))),
      ),
    );
    const base = { file, weights, batches, batch: 16, classes: 4, runtime, rate: 0.15, seed: 2, steps: 25 };
    const winners: (readonly number[])[] = [];
    for (const layers of tables) {
      const loss = { kind: 'add#linear', lambda: 5, reference: 20 } as const;
      const entropies: number[] = [];
      const { architecture } = await proxylessSearch(
        {
          ...base,
          mode: 'full',
          table: { fixed: 2, layers },
          loss,
          onStep: (s) => entropies.push(s.entropy),
        },
        { signal },
      );
      t.ok((entropies.at(-1) as number) < (entropies[0] as number), 'it decides');
      winners.push(architecture);
    }
    const cost = (architecture: readonly number[], table: number): number =>
      architecture.reduce((sum, choice, l) => sum + (tables[table]?.[l]?.[choice] as number), 0);
    const [first, second] = winners as [readonly number[], readonly number[]];
    t.ok(cost(first, 0) <= cost(second, 0) && cost(second, 1) <= cost(first, 1), `${first} and ${second}`);
    const pairs = await proxylessSearch(
      {
        ...base,
        mode: 'two',
        steps: 3,
        table: { fixed: 2, layers: tables[0] as number[][] },
        loss: { kind: 'mul#log', alpha: 0.2, beta: 0.3, reference: 20 },
      },
      { signal },
    );
    t.equal(pairs.architecture.length, 3);
    t.ok(pairs.alphas.flat().every(Number.isFinite));
  },
);

t.test(
  'additive accuracy: parts are learnt from noisy scores, and the cheapest network at a level is found',
  async (t) => {
    const rng = Xoshiro128.fromSeed(5);
    const choices = [3, 4, 2];
    const parts = choices.map((n) => Array.from({ length: n }, () => 0.02 * gaussian(rng)));
    const truth = (a: readonly number[]): number =>
      a.reduce((sum, choice, l) => sum + (parts[l]?.[choice] as number), 0.8);
    const scored = Array.from({ length: 300 }, () => {
      const architecture = choices.map((n) => randomInt(rng, n));
      return { architecture, accuracy: truth(architecture) + 0.01 * gaussian(rng) };
    });
    const model = fitAdditive(scored, choices);
    const all = [0, 1, 2].flatMap((i) => [0, 1, 2, 3].flatMap((j) => [0, 1].map((k) => [i, j, k])));
    const errors = all.map((a) => Math.abs(additiveOf(model, a) - truth(a)));
    t.ok(Math.max(...errors) < 0.006, `${Math.max(...errors)}, scores err by 0.01`);
    fc.assert(
      fc.property(fc.integer(), fc.double({ min: -0.05, max: 0.05, noNaN: true }), (seed, by) => {
        const drawn = Xoshiro128.fromSeed(seed);
        const layers = choices.map((n) => Array.from({ length: n }, () => 1 + 9 * drawn.next()));
        const table = { fixed: 3, layers };
        const level = model.constant + by;
        // The knapsack tells sums of accuracy apart by a grain of 1e-5 a layer.
        const reaching = (bound: number): readonly number[][] =>
          all.filter((a) => additiveOf(model, a) >= bound);
        const found = cheapestAtLevel(model, table, level);
        if (!found) return reaching(level + 1e-4).length === 0;
        const least = Math.min(...reaching(level + 1e-4).map((a) => costOf(table, a)));
        return additiveOf(model, found) >= level - 1e-4 && costOf(table, found) <= least + 1e-9;
      }),
    );
  },
);

t.test(
  'gradient ProxylessNAS: winners at equal accuracy, none dearer by its own table than another',
  async (t) => {
    // Two layers of three choices; the targets disagree about the first, accuracy needs the last choice of the second.
    const tables = new Map(
      (['a', 'b'] as const).map((name) => [
        name,
        { fixed: 1, layers: [name === 'a' ? [1, 2, 4] : [4, 2, 1], [1, 2, 3]] },
      ]),
    );
    const alphas = [
      [0, 0.1, 0],
      [0, 0, 0.1],
    ];
    const searches = ['a', 'b'].map((target) => ({ target, alphas }));
    let asked = 0;
    const accuracyOf = async ([first, second]: readonly number[]): Promise<number> => {
      asked++;
      return 0.8 + 0.05 * (second as number) + 0.001 * (first === 1 ? 1 : 0);
    };
    const options = { candidates: 40, slack: 0.01, seed: 1, accuracyOf };
    const { level, winners } = await deriveWinners({ searches, costs: tables }, options);
    t.ok((level as number) > 0.88 && (level as number) < 0.9, `${level}`);
    t.same(
      winners.map(({ target, architecture, costs }) => ({ target, architecture, costs })),
      [
        { target: 'a', architecture: [0, 2], costs: { a: 5, b: 8 } },
        { target: 'b', architecture: [2, 2], costs: { a: 8, b: 5 } },
      ],
    );
    t.ok(winners.every(({ expectedAccuracy }) => (expectedAccuracy as number) >= (level as number)));
    t.same(winners[0]?.likeliest.architecture, [1, 2]);
    t.equal(asked, 9, 'each network once');
    const alone = await deriveWinners({ searches, costs: tables }, { ...options, candidates: 0 });
    t.same(
      [alone.level, alone.winners.map(({ architecture }) => architecture)],
      [
        null,
        [
          [1, 2],
          [1, 2],
        ],
      ],
    );
  },
);

t.test('EAS: growth keeps the function, and weights are inherited', async (t) => {
  const runtime = new SessionProcess({ memoryLimitBytes: null });
  t.teardown(() => runtime.stop());
  const rng = Xoshiro128.fromSeed(6);
  const choice = (l: number, name: string): number => space.dims?.[l]?.choices.indexOf(name) as number;
  const from = [choice(0, 'k3e2'), choice(1, 'skip'), choice(2, 'k3e2')];
  const small = new Map<string, NamedTensor>(
    [...tensorsOf(space, from)].map(([name, dims]) => {
      const size = dims.reduce((a, b) => a * b, 1);
      const positive = /\.(var|scale)$/.test(name);
      return [
        name,
        {
          dims,
          data: Float32Array.from({ length: size }, () =>
            positive ? 0.5 + rng.next() : 0.4 * gaussian(rng),
          ),
        },
      ];
    }),
  );
  const input = Float32Array.from({ length: 144 }, () => gaussian(rng));
  const run = async (architecture: readonly number[], tensors: typeof small): Promise<Float32Array> => {
    const graph = space.network(architecture, new SharedWeights(tensors));
    const { handle } = await runtime.load(writeOnnx(graph));
    const answer = await runtime.run(handle, {
      input: { type: 'float32', dims: [1, 1, 12, 12], data: input },
    });
    return answer.logits?.data as Float32Array;
  };
  const before = await run(from, small);
  for (const [what, to] of [
    ['wider', [choice(0, 'k3e4'), from[1], from[2]]],
    ['deeper', [from[0], choice(1, 'k5e4'), from[2]]],
    ['a larger kernel', [choice(0, 'k5e2'), from[1], from[2]]],
    ['deeper without expansion', [from[0], choice(1, 'k5e1'), from[2]]],
    ['all at once', [choice(0, 'k5e4'), choice(1, 'k3e2'), choice(2, 'k5e4')]],
  ] as [string, number[]][]) {
    const grown = morph(file, small, { from, to, rng });
    const after = await run(to, grown);
    const difference = Math.max(...before.map((value, i) => Math.abs(value - (after[i] as number))));
    t.ok(difference < 1e-5, `${what}: ${difference}`);
    t.same(grown.get('stem.weight'), small.get('stem.weight'), 'what did not grow is inherited');
    const noisy = await run(to, morph(file, small, { from, to, rng, noise: 0.01 }));
    t.ok(
      Math.max(...before.map((value, i) => Math.abs(value - (noisy[i] as number)))) < 1,
      'noise moves it a little',
    );
  }
  t.throws(
    () => morph(file, small, { from, to: [from[0] as number, from[1] as number, choice(2, 'skip')], rng }),
    { code: 'ARCHITECTURE_INVALID' },
  );
  t.ok([...fullDims(space).keys()].length > small.size);
  const [k3e2, k5e4, k3e1] = ['k3e2', 'k5e4', 'k3e1'].map((name) => choice(0, name)) as [
    number,
    number,
    number,
  ];
  t.equal(growth(file, from, [k5e4, choice(1, 'k3e1'), from[2] as number]), 2);
  t.equal(growth(file, [k5e4, from[1] as number, from[2] as number], from), undefined, `${k3e2} is smaller`);
  t.equal(growth(file, [k3e1, from[1] as number, from[2] as number], from), undefined, 'an activation more');
});

t.test(
  'sharpDARTS: the schedule is the formula; Max-W keeps the right choice where the scalar form collapses to skip',
  async (t) => {
    for (const order of [1, 2, 10])
      for (let e = 0; e <= 50; e++) {
        const c = (1 + Math.cos((Math.PI * e) / 50)) / 2;
        const p = order ** (c + 1);
        const share = order === 1 ? c : (p - order) / (order ** 2 - order);
        const rate = cosinePowerAnnealing(e, { max: 0.025, min: 1e-4, order, totalSteps: 50 });
        t.ok(Math.abs(rate - (1e-4 + (0.025 - 1e-4) * share)) < 1e-15);
      }
    t.same(maxWeights([0.2, 0.5]), [0.7, 1]);

    /** y = c_skip x + c_op theta x against 3 x; theta starts at 0, so skip leads before the operation has learnt anything. */
    const search = (regularised: boolean): number[] => {
      let alpha = [0, 0];
      let theta = 0;
      for (let step = 0; step < 400; step++) {
        const w = softmaxOf(alpha);
        const c = regularised ? maxWeights(w) : w;
        const y = (c[0] as number) + (c[1] as number) * theta;
        const error = 2 * (y - 3);
        const upstream = [error, error * theta];
        const byW = regularised ? maxWeightsGradient(w, upstream) : upstream;
        const gradient = alphaGradient(byW, w);
        alpha = alpha.map((a, i) => a - 0.5 * (gradient[i] as number));
        // Weights learn slowly, as they do beside a shortcut.
        theta -= 0.005 * error * (c[1] as number);
      }
      return softmaxOf(alpha);
    };
    const [scalar, sharp] = [search(false), search(true)];
    t.ok(
      (scalar[0] as number) > (scalar[1] as number),
      `scalar form: skip ${scalar.map((w) => w.toFixed(2))}`,
    );
    t.ok((sharp[1] as number) > (sharp[0] as number), `Max-W: ${sharp.map((w) => w.toFixed(2))}`);
  },
);

t.test('gradient noise anneals as the formula says', async (t) => {
  const deviation = (step: number): number => {
    const gradient = new Float32Array(20_000);
    addGradientNoise(gradient, { eta: 0.3, t: step }, Xoshiro128.fromSeed(1));
    return Math.sqrt(gradient.reduce((sum, g) => sum + g * g, 0) / gradient.length);
  };
  for (const step of [0, 10, 1000])
    t.ok(Math.abs(deviation(step) / Math.sqrt(0.3 / (1 + step) ** 0.55) - 1) < 0.03, `step ${step}`);
});
