import fc from 'fast-check';
import t from 'tap';
import { gaussian, Xoshiro128 } from '../../daemon/core/rng.js';
import type { Matrix } from '../../daemon/predict/design.js';
import { Design } from '../../daemon/predict/design.js';
import { BoostedTrees } from '../../daemon/predict/models/boosted-trees.js';
import { GaussianProcess } from '../../daemon/predict/models/gaussian-process.js';
import { fitTable, tablePredictions } from '../../daemon/predict/models/table-fit.js';
import { foldsOf, othersOf } from '../../daemon/predict/picker/candidate.js';
import { mostInformative } from '../../daemon/predict/picker/informative.js';
import { Leverage } from '../../daemon/predict/picker/leverage.js';
import { runEagerly, runFolded, runPruned } from '../../daemon/search/spaces/nasbench/cell-execution.js';
import { CellTableSpace } from '../../daemon/search/spaces/nasbench/table.js';

function matrix(rows: readonly (readonly number[])[]): Matrix {
  return { rows: rows.length, columns: rows[0]?.length ?? 0, data: Float64Array.from(rows.flat()) };
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

t.test('a table is exact where the costs are, and never negative', async (t) => {
  const x = matrix([
    [1, 0],
    [2, 1],
    [0, 3],
    [4, 4],
    [1, 5],
    [3, 0],
  ]);
  const y = Float64Array.from(
    range(6),
    (i) => 7 + 2 * (x.data[2 * i] as number) + 5 * (x.data[2 * i + 1] as number),
  );
  const table = fitTable(x, y, range(6), { penalty: 1e-9, loss: 'squares' });
  t.ok(Math.abs(table.constant - 7) < 0.01 && Math.abs((table.weights[1] as number) - 5) < 0.01);
  const falling = fitTable(
    x,
    y.map((v) => 100 / v),
    range(6),
    { penalty: 1e-3, loss: 'robust' },
  );
  t.ok([falling.constant, ...falling.weights].every((w) => w >= 0));
});

t.test('the robust loss reads the usual regime', async (t) => {
  const rng = Xoshiro128.fromSeed(1);
  const x = matrix(range(80).map(() => [Math.floor(6 * rng.next()), Math.floor(6 * rng.next())]));
  const truth = Float64Array.from(
    range(80),
    (i) => 10 + 3 * (x.data[2 * i] as number) + 8 * (x.data[2 * i + 1] as number),
  );
  // A fifth of the measurements fell into a regime a quarter faster.
  const y = truth.map((v, i) => (i % 5 === 0 ? 0.75 * v : v) * (1 + 0.01 * gaussian(rng)));
  const errorOf = (loss: 'squares' | 'robust'): number => {
    const predicted = tablePredictions(fitTable(x, y, range(80), { penalty: 1e-3, loss }), x);
    return truth.reduce((sum, v, i) => sum + Math.abs((predicted[i] as number) / v - 1), 0) / 80;
  };
  t.ok(errorOf('robust') < 0.01, `${errorOf('robust')}`);
  t.ok(errorOf('squares') > 0.03, `${errorOf('squares')}`);
});

t.test('a Gaussian process interpolates, and its leave-one-out residuals are those of refits', async (t) => {
  const rng = Xoshiro128.fromSeed(3);
  const rows = range(40).map(() => [4 * rng.next(), 4 * rng.next()]);
  const f = ([a, b]: readonly number[]): number => Math.sin(a as number) + 0.5 * (b as number);
  const z = Float64Array.from(rows, f);
  const process = GaussianProcess.fit(matrix(rows), z) as GaussianProcess;
  const places = range(50).map(() => [0.5 + 3 * rng.next(), 0.5 + 3 * rng.next()]);
  const worst = Math.max(
    ...process.predict(matrix(places)).map((v, i) => Math.abs(v - f(places[i] as number[]))),
  );
  t.ok(worst < 0.15, `worst error ${worst}`);
  // Standardisation differs by the one sample left out, and so does the level: equal to a few percent.
  for (const out of [0, 17, 39]) {
    const kept = range(40).filter((i) => i !== out);
    const without = GaussianProcess.fit(
      matrix(kept.map((i) => rows[i] as number[])),
      Float64Array.from(kept, (i) => z[i] as number),
      { covariance: process.covariance },
    ) as GaussianProcess;
    const residual = (z[out] as number) - (without.predict(matrix([rows[out] as number[]]))[0] as number);
    t.ok(
      Math.abs(residual - (process.residuals[out] as number)) < 0.02,
      `${residual} and ${process.residuals[out]}`,
    );
  }
});

t.test('one-hot columns tell nothing of a sample that was left out', async (t) => {
  // Centred columns sum to nothing: a level taken from all samples would give each sample away.
  const rng = Xoshiro128.fromSeed(5);
  const rows = range(20).map(() => range(30).map((j) => Number(j % 5 === Math.floor(5 * rng.next()))));
  const z = Float64Array.from(range(20), () => gaussian(rng));
  const process = GaussianProcess.fit(matrix(rows), z) as GaussianProcess;
  const size = (values: Float64Array): number => values.reduce((sum, v) => sum + Math.abs(v), 0);
  t.ok(size(process.residuals) > 0.7 * size(z), 'noise stays unpredictable');
});

t.test('boosted trees find an interaction that no sum holds', async (t) => {
  const rng = Xoshiro128.fromSeed(7);
  const rows = range(400).map(() => [rng.next(), rng.next(), rng.next()]);
  const f = ([a, b]: readonly number[]): number => ((a as number) > 0.5 !== (b as number) > 0.5 ? 1 : -1);
  const trees = BoostedTrees.fit(matrix(rows), Float64Array.from(rows, f));
  const places = range(200).map(() => [rng.next(), rng.next(), rng.next()]);
  const right = trees
    .predict(matrix(places))
    .filter((v, i) => Math.sign(v) === f(places[i] as number[])).length;
  t.ok(right > 185, `${right} of 200`);
  t.same(
    [...BoostedTrees.fit(matrix([[1], [1]]), Float64Array.of(3, 5)).predict(matrix([[1]]))].length,
    1,
    'no split, no failure',
  );
});

t.test('leverage grows away from the samples, and informative places lie there', async (t) => {
  const rows = [[1], [2], [3], [2], [1], [3]];
  const y = Float64Array.from(rows, ([v]) => 10 + (v as number));
  const leverage = new Leverage(matrix(rows), y);
  const [near, far] = leverage.of(matrix([[2], [40]]), Float64Array.of(12, 50)) as unknown as [
    number,
    number,
  ];
  t.ok(near < 0.5 && far > 2 * near, `${near} ${far}`);
  t.ok(leverage.heldOut(matrix(rows), y).every((h) => h > 0));
  const places = [
    [1, 2],
    [1, 2.1],
    [1, 9],
    [1, 8.9],
    [1, 2.05],
  ].map((row) => Float64Array.from(row));
  const samples = [Float64Array.of(1, 2), Float64Array.of(1, 2.2)];
  const chosen = mostInformative({ samples, places }, undefined, 2);
  t.equal(chosen[0], 2, 'the far one first');
  t.equal(new Set(chosen).size, 2);
  const all = mostInformative({ samples: [], places }, undefined, 9);
  t.same(all.sort(), [0, 1, 2, 3, 4], 'asked for more than there are');
  // Two kinds of networks that the view cannot tell apart, of which the samples are all of one.
  const kinds = [0, 1].flatMap((kind) => [0, 1, 2].map((i) => ({ kind, row: Float64Array.of(1, i) })));
  const view = {
    samples: [0, 1, 2, 0, 1, 2].map((i) => Float64Array.of(1, i)),
    places: kinds.map(({ row }) => row),
  };
  const remainder = {
    samples: view.samples.map(() => Float64Array.of(1, 0)),
    places: kinds.map(({ kind }) => Float64Array.of(1 - kind, kind)),
  };
  const [told] = mostInformative(view, remainder, 1);
  t.equal(kinds[told as number]?.kind, 1, 'what the view alone would not ask about');
});

t.test('folds part the samples', async () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 400 }), (n) => {
      const folds = foldsOf(n);
      const all = folds.flat().sort((a, b) => a - b);
      return (
        all.length === n &&
        all.every((v, i) => v === i) &&
        folds.every((f) => othersOf(f, n).length === n - f.length)
      );
    }),
  );
});

t.test('columns that tell nothing apart are merged', async (t) => {
  const design = Design.of([
    new Map([
      ['same', 1],
      ['a', 1],
      ['twin', 1],
    ]),
    new Map([
      ['same', 1],
      ['a', 3],
      ['twin', 3],
      ['b', 1],
    ]),
  ]);
  t.same(design.names, ['a', 'b']);
  t.equal(
    design.unseenShare(
      new Map([
        ['a', 1],
        ['new', 1],
      ]),
    ),
    0.5,
  );
  t.equal(design.unseenShare(new Map([['same', 1]])), 0);
});

t.test('what runtimes execute of a cell', async (t) => {
  const digits = (text: string): number[] => [...text].map(Number);
  t.same(runEagerly(digits('331030')).operators, digits('331030'));
  t.same(runPruned(digits('331030')).operators, digits('300030'), 'node 2 leads nowhere');
  const folded = (text: string): string =>
    runFolded(digits(text))
      .operators.map((op) => (op === 1 ? 0 : op))
      .join('');
  t.equal(folded('331030'), '300030', 'the zero of a sum is a constant');
  t.equal(folded('330030'), '330030', 'a zero folded into a lone convolution leaves it running');
  t.equal(folded('340030'), '300030', 'pooling has no weights to fold into');
  t.equal(folded('303300'), '303300');
  t.equal(folded('330300'), '000300', 'a zeroed sum takes the zeroes that feed it along');
  const space = new CellTableSpace();
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1e6 }), (seed) => {
      const views = space.views(space.sample(Xoshiro128.fromSeed(seed)));
      const sum = (view: string): number =>
        ['nor_conv_1x1', 'nor_conv_3x3', 'avg_pool_3x3'].reduce(
          (s, op) => s + (views[view]?.get(op) ?? 0),
          0,
        );
      return sum('pruned') <= sum('folded') && sum('folded') <= sum('eager');
    }),
  );
});
