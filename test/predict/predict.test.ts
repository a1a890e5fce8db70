import fc from 'fast-check';
import t from 'tap';
import { gaussian, randomInt, Xoshiro128 } from '../../daemon/core/rng.js';
import { PredictorBank } from '../../daemon/predict/bank.js';
import type { Features } from '../../daemon/predict/contract.js';
import { GrowingFactor } from '../../daemon/predict/growing-factor.js';
import { invertDefinite } from '../../daemon/predict/linear-algebra.js';
import { milestone, nextMilestone } from '../../daemon/predict/milestone.js';
import { nonNegativeLeastSquares } from '../../daemon/predict/non-negative-least-squares.js';
import { OperatorTable } from '../../daemon/predict/operator-table.js';
import { PickedPredictor } from '../../daemon/predict/picked.js';
import { RidgePredictor } from '../../daemon/predict/ridge.js';
import { scorePredictions } from '../../daemon/predict/score.js';
import { conformalQuantile, kendall, ranks, spearman } from '../../daemon/predict/statistics.js';
import { predictorContract } from '../contract/predictor-contract.js';

const costs = [5, 1, 0, 12];

/** Counts of four operators, and a cost linear in them with 2 % noise. */
function samples(n: number, seed: number): { x: Features[]; y: number[]; vectors: number[][] } {
  const rng = Xoshiro128.fromSeed(seed);
  const vectors = Array.from({ length: n }, () => costs.map(() => randomInt(rng, 5)));
  const y = vectors.map(
    (v) =>
      (3 + v.reduce((sum, count, i) => sum + count * (costs[i] as number), 0)) * (1 + 0.02 * gaussian(rng)),
  );
  const x = vectors.map((v) => new Map(v.map((count, i) => [`op${i}`, count])));
  return { x, y, vectors };
}

t.test('ridge', async (t) => {
  const { y, vectors } = samples(120, 3);
  // Ridge compares directions: it is meant for one-hot decisions, where counts are told apart by name.
  const x = vectors.map((v) => new Map(v.map((count, i) => [`op${i}=${count}`, 1])));
  predictorContract(
    t,
    () => new RidgePredictor(),
    x,
    y,
    (known) => new Map([...known, ['never seen', 3]]),
  );
});

t.test('a ridge fit that goes on from the last one says what one from the start says', async (t) => {
  const { y, vectors } = samples(100, 4);
  const x = vectors.map((v) => new Map(v.map((count, i) => [`op${i}=${count}`, 1])));
  const grown = new RidgePredictor();
  // Across milestones, twice the same, and back.
  for (const n of [20, 60, 61, 63, 63, 75, 100, 70]) {
    grown.fit(x.slice(0, n), y.slice(0, n));
    const fresh = new RidgePredictor();
    fresh.fit(x.slice(0, n), y.slice(0, n));
    t.same(grown.predict(x), fresh.predict(x), `${n} samples`);
    t.same(grown.score(), fresh.score());
  }
  const changed = y.with(3, 100);
  grown.fit(x, y);
  grown.fit(x, changed);
  const fresh = new RidgePredictor();
  fresh.fit(x, changed);
  t.same(grown.predict(x), fresh.predict(x), 'a value that was corrected counts');
  // Exponential in the decisions, so that the logarithm is chosen; then a value that has none.
  const steep = vectors.map((v) => Math.exp(v.reduce((sum, count) => sum + count, 0)));
  for (const first of [0, -1]) {
    const late = new RidgePredictor();
    late.fit(x.slice(0, 64), steep.slice(0, 64));
    late.fit(x.slice(0, 66), [...steep.slice(0, 65), first]);
    t.ok(late.predict(x).mean.every(Number.isFinite), `${first} after values that admit a logarithm`);
  }
});

t.test('a factor that grew row by row solves and inverts', async (t) => {
  const entries = fc.array(fc.double({ min: -2, max: 2, noNaN: true }), {
    minLength: 13 ** 2,
    maxLength: 13 ** 2,
  });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 13 }), entries, (n, b) => {
      const dot = (i: number, j: number): number =>
        Array.from({ length: n }, (_, k) => (b[i * n + k] as number) * (b[j * n + k] as number)).reduce(
          (x, y) => x + y,
        );
      const matrix = Float64Array.from({ length: n * n }, (_, at) => {
        const [i, j] = [Math.floor(at / n), at % n];
        return dot(i, j) + (i === j ? 1 : 0);
      });
      const inverse = invertDefinite(matrix, n) as Float64Array;
      const factor = new GrowingFactor(n);
      for (let i = 0; i < n; i++) t.ok(factor.append(matrix.slice(i * n, i * n + i + 1)));
      const x = factor.solve(Array.from({ length: n }, (_, i) => i - 2));
      for (let i = 0; i < n; i++) {
        let [image, unit] = [0, 0];
        for (let k = 0; k < n; k++) {
          image += (matrix[i * n + k] as number) * (x[k] as number);
          unit += (matrix[i * n + k] as number) * (inverse[k * n + i] as number);
        }
        t.ok(Math.abs(image - (i - 2)) < 1e-9 && Math.abs(unit - 1) < 1e-9);
        t.ok(Math.abs(factor.inverseAt(i) - (inverse[i * n + i] as number)) < 1e-9);
      }
    }),
    { numRuns: 60 },
  );
  const factor = new GrowingFactor(2);
  t.ok(factor.append(Float64Array.of(1)));
  t.notOk(factor.append(Float64Array.of(1, 1)), 'singular');
  t.ok(factor.append(Float64Array.of(0, 1)), 'and as it was');
  t.same([...factor.solve([3, 4])], [3, 4]);
});

t.test('milestones ascend to their number, and the next is beyond it', async (t) => {
  t.same(
    [1, 31, 33, 47, 63, 64, 100, 1000].map((n) => milestone(n, 4)),
    [1, 31, 32, 40, 56, 64, 96, 896],
  );
  for (let n = 1; n < 600; n++) {
    t.ok(milestone(n, 2) <= n && n < nextMilestone(n, 2));
    t.equal(milestone(nextMilestone(n, 2), 2), nextMilestone(n, 2));
  }
});

t.test('non-negative least squares', async (t) => {
  t.same([...nonNegativeLeastSquares(Float64Array.of(2, 0, 0, 4), Float64Array.of(2, -1))], [1, 0]);
  t.same(
    [...nonNegativeLeastSquares(Float64Array.of(0), Float64Array.of(1))],
    [0],
    'a feature without data weighs nothing',
  );
});

t.test('the picked model finds the costs that made the data, and its interval holds on others', async (t) => {
  const { x, y } = samples(200, 5);
  const views = (list: readonly Features[]) => list.map((counts) => ({ counts }));
  const picked = new PickedPredictor();
  picked.fit(views(x), y);
  t.ok(picked.score().mape < 4);
  t.match(picked.report().model, /^table\(counts, /);
  const held = samples(300, 6);
  const { low, high } = picked.predict(views(held.x));
  const inside =
    held.y.filter((value, i) => value >= (low[i] as number) && value <= (high[i] as number)).length / 300;
  t.ok(inside > 0.8 && inside < 0.97, `90 % interval held ${inside}`);
});

t.test('the picked model says what to measure next: each place once, the same each time', async (t) => {
  const { x, y } = samples(40, 3);
  const predictor = new PickedPredictor();
  const views = (all: readonly Features[]) => all.map((operators) => ({ operators }));
  t.throws(() => predictor.mostInformative(views(x), 1), { code: 'PREDICTOR_UNFIT' });
  predictor.fit(views(x), y);
  const places = views(samples(7, 8).x);
  const chosen = predictor.mostInformative(places, 3);
  t.same(predictor.mostInformative(places, 3), chosen);
  t.same(predictor.mostInformative(places, 7).slice(0, 3), chosen, 'the best come first');
  t.same([...predictor.mostInformative(places, 7)].sort(), [0, 1, 2, 3, 4, 5, 6]);
});

t.test('statistics against known values', async (t) => {
  // Errors of 10, 11, 0 and 25 percent: one of exactly 10 percent counts as within.
  t.match(scorePredictions([100, 100, 200, 40], [110, 89, 200, 50], [true, false, true, true]), {
    n: 4,
    mape: 11.5,
    within10: 0.5,
    coverage: 0.75,
  });
  t.match(scorePredictions([], [], []), { n: 0, mape: 0, within10: 0, coverage: 0 });
  t.same(ranks([3, 1, 3, 0]), [3.5, 2, 3.5, 1]);
  t.equal(spearman([1, 2, 3], [10, 20, 30]), 1);
  t.equal(kendall([1, 2, 3, 4], [1, 3, 2, 4]), 4 / 6);
  t.equal(kendall([1, 1, 1], [1, 2, 3]), 0);
  t.equal(conformalQuantile([1, 2, 3], 0.9), Number.POSITIVE_INFINITY);
  t.equal(conformalQuantile([4, 3, 2, 1], 0.5), 3);
});

t.test(
  'an operator table looks up what ran, tells other shapes by their kernel, and no other kernel',
  async (t) => {
    const rng = Xoshiro128.fromSeed(4);
    const operator = (rows: number, outputs: number, depth: number) => ({
      kind: 'linear',
      key: `linear ${rows} ${outputs} ${depth}`,
      quantities: new Map([
        ['calls', 1],
        ['rows', rows],
        ['outputs', rows * outputs],
        ['macs', rows * outputs * depth],
      ]),
      cost: 120 + 9 * rows + 30 * rows * outputs + 1.25 * rows * outputs * depth,
    });
    const pick = (...values: number[]): number => values[Math.floor(rng.next() * values.length)] as number;
    const network = () => {
      const operators = Array.from({ length: 6 }, () =>
        operator(pick(1, 16, 49), pick(8, 16, 24, 40), pick(8, 12, 32, 96)),
      );
      return { operators, whole: operators.reduce((sum, { cost }) => sum + cost, 0) };
    };
    const table = new OperatorTable();
    t.throws(() => table.fit([network()]), { code: 'PREDICTOR_UNFIT' });
    t.throws(() => table.predict([]), { code: 'PREDICTOR_UNFIT' });
    const learnt = Array.from({ length: 20 }, network);
    table.fit(learnt);
    t.equal(table.predict(learnt[0]!.operators)?.mean, learnt[0]!.whole, 'looked up');
    const unseen = operator(100, 64, 200);
    const told = table.predict([unseen])!;
    t.ok(Math.abs(told.mean / unseen.cost - 1) < 0.02, `${told.mean} for ${unseen.cost}`);
    t.ok(told.low <= told.mean && told.mean <= told.high);
    t.equal(
      table.predict([{ ...unseen, kind: 'softmax', key: 'softmax' }]),
      undefined,
      'nothing stands in for it',
    );
  },
);

t.test('the bank answers per metric, from what each sample knows', async (t) => {
  const { vectors, y } = samples(60, 9);
  const features = (a: unknown): Features => new Map((a as number[]).map((v, i) => [`op${i}=${v}`, 1]));
  const counts = (a: unknown): Features => new Map((a as number[]).map((v, i) => [`op${i}`, v]));
  const bank = new PredictorBank({
    costViews: (a) => ({ counts: counts(a) }),
    decisionFeatures: features,
    kindOf: (m) => (m === 'us' ? 'cost' : 'quality'),
  });
  t.equal(bank.predict('us', vectors), undefined);
  bank.refit(
    vectors.map((architecture, i) => ({
      architecture,
      values: i < 5 ? { us: y[i] as number, rare: 1 } : { us: y[i] as number },
    })),
  );
  t.equal(bank.predict('us', vectors)?.length, 60);
  t.equal(bank.predict('rare', vectors), undefined, 'five samples are too few');
  t.match(bank.scores().us?.predictor, /^table\(counts, /);
});

t.test('a bank that saw a study grow answers as one that opens it late', async (t) => {
  const { vectors, y } = samples(90, 10);
  const open = () =>
    new PredictorBank({
      costViews: (a) => ({ counts: new Map((a as number[]).map((v, i) => [`op${i}`, v])) }),
      decisionFeatures: (a) => new Map((a as number[]).map((v, i) => [`op${i}=${v}`, 1])),
      kindOf: (m) => (m === 'us' ? 'cost' : 'quality'),
    });
  // Read from a store, equal architectures are other objects each time.
  const history = (n: number) =>
    vectors.slice(0, n).map((v, i) => ({ architecture: [...v], values: { us: y[i]!, accuracy: 1 / y[i]! } }));
  const old = open();
  for (const n of [15, 38, 45, 62, 70, 90]) {
    old.refit(history(n));
    const late = open();
    late.refit(history(n));
    for (const metric of ['us', 'accuracy'])
      t.same(old.predict(metric, vectors), late.predict(metric, vectors), `${metric} after ${n}`);
  }
});

t.test('a bank believes inexact samples less, and equally exact ones alike', async (t) => {
  const { vectors, y } = samples(60, 12);
  const open = () =>
    new PredictorBank({
      costViews: (a) => ({ counts: new Map((a as number[]).map((v, i) => [`op${i}`, v])) }),
      decisionFeatures: (a) => new Map((a as number[]).map((v, i) => [`op${i}=${v}`, 1])),
      kindOf: () => 'cost',
    });
  // A third was measured on a busy machine: 30 to 60 % slower, and its intervals say so.
  const isBusy = (i: number): boolean => i % 3 === 0;
  const history = (deviation: (i: number) => number | undefined) =>
    vectors.map((architecture, i) => {
      const us = (y[i] as number) * (isBusy(i) ? 1.3 + 0.3 * ((i * 7) % 10) * 0.1 : 1);
      const known = deviation(i);
      return { architecture, values: { us }, ...(known !== undefined && { deviations: { us: known } }) };
    });
  const error = (deviation: (i: number) => number | undefined): number => {
    const bank = open();
    bank.refit(history(deviation));
    const answers = bank.predict('us', vectors) ?? [];
    return answers.reduce((sum, { mean }, i) => sum + Math.abs(Math.log(mean / (y[i] as number))), 0) / 60;
  };
  const [unweighted, even, weighted] = [
    () => undefined,
    () => 0.01,
    (i: number) => (isBusy(i) ? 0.4 : 0.01),
  ].map(error);
  t.equal(even, unweighted, 'equal exactness changes nothing');
  t.ok((weighted as number) < 0.6 * (unweighted as number), `${weighted} of ${unweighted}`);
});
