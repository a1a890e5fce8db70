import t from 'tap';
import { gaussian, randomInt, Xoshiro128 } from '../../daemon/core/rng.js';
import { PredictorBank } from '../../daemon/predict/bank.js';
import type { Features } from '../../daemon/predict/contract.js';
import { LutPredictor } from '../../daemon/predict/lut.js';
import { nonNegativeLeastSquares } from '../../daemon/predict/non-negative-least-squares.js';
import { createPredictor, predictorNames } from '../../daemon/predict/registry.js';
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

for (const name of predictorNames) {
  t.test(name, async (t) => {
    const { x: counts, y, vectors } = samples(120, 3);
    // Ridge compares directions: it is meant for one-hot decisions, where counts are told apart by name.
    const oneHot = vectors.map((v) => new Map(v.map((count, i) => [`op${i}=${count}`, 1])));
    const x = name === 'ridge' ? oneHot : counts;
    predictorContract(
      t,
      () => createPredictor(name),
      x,
      y,
      (known) => new Map([...known, ['never seen', 3]]),
    );
  });
}

t.test('non-negative least squares', async (t) => {
  t.same([...nonNegativeLeastSquares(Float64Array.of(2, 0, 0, 4), Float64Array.of(2, -1))], [1, 0]);
  t.same(
    [...nonNegativeLeastSquares(Float64Array.of(0), Float64Array.of(1))],
    [0],
    'a feature without data weighs nothing',
  );
});

t.test('the table finds the costs that made the data, and never a negative one', async (t) => {
  const { x, y } = samples(200, 5);
  const lut = new LutPredictor();
  lut.fit(x, y);
  t.ok(lut.score().mape < 4);
  t.ok([...lut.table().values()].every((weight) => weight >= 0));
  const held = samples(300, 6);
  const { low, high } = lut.predict(held.x);
  const inside =
    held.y.filter((value, i) => value >= (low[i] as number) && value <= (high[i] as number)).length / 300;
  t.ok(inside > 0.8 && inside < 0.97, `90 % interval held ${inside}`);
  t.throws(
    () =>
      new LutPredictor().fit(
        x,
        y.map(() => Number.NaN),
      ),
    { code: 'PREDICTOR_UNFIT' },
  );
});

t.test('statistics against known values', async (t) => {
  t.same(ranks([3, 1, 3, 0]), [3.5, 2, 3.5, 1]);
  t.equal(spearman([1, 2, 3], [10, 20, 30]), 1);
  t.equal(kendall([1, 2, 3, 4], [1, 3, 2, 4]), 4 / 6);
  t.equal(kendall([1, 1, 1], [1, 2, 3]), 0);
  t.equal(conformalQuantile([1, 2, 3], 0.9), Number.POSITIVE_INFINITY);
  t.equal(conformalQuantile([4, 3, 2, 1], 0.5), 3);
});

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
