import t from 'tap';
import { gaussian, randomInt, Xoshiro128 } from '../../daemon/core/rng.js';
import { PredictorBank } from '../../daemon/predict/bank.js';
import type { Features } from '../../daemon/predict/contract.js';
import { nonNegativeLeastSquares } from '../../daemon/predict/non-negative-least-squares.js';
import { OperatorTable } from '../../daemon/predict/operator-table.js';
import { PickedPredictor } from '../../daemon/predict/picked.js';
import { RidgePredictor } from '../../daemon/predict/ridge.js';
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

t.test('statistics against known values', async (t) => {
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
