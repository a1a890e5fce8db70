import t from 'tap';
import { gaussian, randomInt, Xoshiro128 } from '../../daemon/core/rng.js';
import { chooseNext, frontProbabilities } from '../../daemon/predict/active.js';
import type { Features, Views } from '../../daemon/predict/contract.js';
import { CrossSpacePredictor } from '../../daemon/predict/cross-space.js';
import { binomialTail, detectDrift, type LiveResidual } from '../../daemon/predict/drift.js';
import { evidenceWeights } from '../../daemon/predict/evidence-weights.js';
import { PickedPredictor } from '../../daemon/predict/picked.js';
import { kendall } from '../../daemon/predict/statistics.js';
import { withTransfer } from '../../daemon/predict/transfer.js';
import { predictorContract } from '../contract/predictor-contract.js';

const costs = [5, 1, 0.5, 12];

interface Made {
  readonly views: Views[];
  readonly y: number[];
}

/** Counts of four operators; only what `pruned` shows costs anything. */
function samples(n: number, seed: number, noise = 0.02): Made {
  const rng = Xoshiro128.fromSeed(seed);
  const views: Views[] = [];
  const y: number[] = [];
  for (let i = 0; i < n; i++) {
    const eager = costs.map(() => randomInt(rng, 5));
    const pruned = eager.map((count) => randomInt(rng, count + 1));
    const features = (counts: readonly number[]): Features => new Map(counts.map((c, j) => [`op${j}`, c]));
    const decisions = new Map(eager.map((c, j) => [`${j}=${c}`, 1]));
    views.push({ eager: features(eager), pruned: features(pruned), decisions });
    y.push(
      (3 + pruned.reduce((sum, c, j) => sum + c * (costs[j] as number), 0)) * Math.exp(noise * gaussian(rng)),
    );
  }
  return { views, y };
}

const strange = (views: Views): Views => ({
  ...views,
  pruned: new Map([...(views.pruned as Features), ['never seen', 3]]),
});

t.test('keeps the contract', async (t) => {
  const { views, y } = samples(45, 1);
  predictorContract(t, () => new PickedPredictor(), views, y, strange);
});

t.test('samples that were measured less exactly than most weigh less', async (t) => {
  t.same(
    [...evidenceWeights([0.01, 0.01, 0.01], [0.1, -0.2, 0.3])],
    [1, 1, 1],
    'equal exactness: equal weights',
  );
  const weights = evidenceWeights(
    [0.01, 0.01, 0.01, 0.2, Number.POSITIVE_INFINITY],
    [0.05, -0.05, 0.05, 0, 1],
  );
  t.same([...weights.slice(0, 3)], [1, 1, 1], "what most samples have is the model's");
  // (0.2^2 - 0.01^2) over (1.4826 x 0.05)^2.
  t.ok(Math.abs((weights[3] as number) - 1 / (1 + 0.0399 / 0.0741 ** 2)) < 1e-3, `${weights[3]}`);
  t.ok((weights[4] as number) > 0 && (weights[4] as number) < 1e-3);

  const truth = samples(300, 77, 0);
  const errors = { with: 0, without: 0 };
  const coverage = { with: 0, without: 0 };
  for (const seed of [21, 22, 23, 24, 25, 26]) {
    const { views, y } = samples(60, seed);
    const rng = Xoshiro128.fromSeed(seed + 100);
    // Two in five were taken while the machine was busy: 25 % off, and their intervals say so.
    const deviations = y.map((_, i) => (i % 5 < 2 ? 0.25 : 0.01));
    const taken = y.map((value, i) => value * Math.exp((deviations[i] as number) * gaussian(rng)));
    for (const how of ['with', 'without'] as const) {
      const predictor = new PickedPredictor();
      predictor.fit(views, taken, how === 'with' ? deviations : []);
      const { mean, low, high } = predictor.predict(truth.views);
      truth.y.forEach((value, i) => {
        errors[how] += Math.abs(Math.log((mean[i] as number) / value)) / 1800;
        if (value >= (low[i] as number) && value <= (high[i] as number)) coverage[how] += 1 / 1800;
      });
      const again = new PickedPredictor();
      again.restore(predictor.state());
      t.same(again.predict(truth.views).mean, mean, 'the weights are part of the state');
    }
  }
  t.ok(errors.with < 0.7 * errors.without, `${errors.with} with weights, ${errors.without} without`);
  t.ok(coverage.with > 0.8, `${coverage.with} covered`);
});

t.test('finds the view that the costs follow, from 30 samples', async (t) => {
  for (const seed of [1, 2, 3, 4]) {
    const { views, y } = samples(30, seed);
    const predictor = new PickedPredictor();
    predictor.fit(views, y);
    t.equal(predictor.report().transform, 'pruned');
    t.ok(Object.keys(predictor.report().candidates).length > 4);
  }
});

t.test('intervals hold on others, and are wide from few', async (t) => {
  const other = samples(400, 99);
  const shares = [11, 12, 13, 14, 15].map((seed) => {
    const { views, y } = samples(40, seed);
    const predictor = new PickedPredictor();
    predictor.fit(views, y);
    const { low, high } = predictor.predict(other.views);
    return other.y.filter((v, i) => v >= (low[i] as number) && v <= (high[i] as number)).length / 400;
  });
  const mean = shares.reduce((sum, s) => sum + s, 0) / shares.length;
  t.ok(mean > 0.83 && mean < 0.97, `${shares}`);
  const widthFrom = (n: number): number => {
    const { views, y } = samples(n, 5);
    const predictor = new PickedPredictor();
    predictor.fit(views, y);
    const { low, high, mean } = predictor.predict(other.views);
    return mean.reduce((sum, m, i) => sum + ((high[i] as number) - (low[i] as number)) / m, 0) / 400;
  };
  t.ok(widthFrom(6) > 2 * widthFrom(60), `${widthFrom(6)} and ${widthFrom(60)}`);
});

t.test('bad samples are refused, odd ones answered with an interval', async (t) => {
  const { views, y } = samples(30, 3);
  const fit = (values: readonly number[], of: readonly Views[] = views): PickedPredictor => {
    const predictor = new PickedPredictor();
    predictor.fit(of, values);
    return predictor;
  };
  for (const bad of [Number.NaN, 0, -1, Number.POSITIVE_INFINITY])
    t.throws(() => fit(y.with(7, bad)), { code: 'SAMPLES_INVALID', details: { rows: [7] } });
  t.throws(() => fit([1], views.slice(0, 1)), { code: 'PREDICTOR_UNFIT' });
  const constant = fit(y.map(() => 4)).predict(views.slice(0, 2));
  t.ok(Math.abs((constant.mean[0] as number) - 4) < 0.05);
  t.ok((constant.high[0] as number) > (constant.low[0] as number), 'certainty is never claimed');
  const same = views.map(() => views[0] as Views);
  const torn = fit(
    y.map((_, i) => (i % 2 ? 10 : 20)),
    same,
  ).predict(same.slice(0, 1));
  t.ok(
    (torn.low[0] as number) <= 10.5 && (torn.high[0] as number) >= 19.5,
    'equal networks that disagree: both are inside',
  );
  const broken = new PickedPredictor();
  for (const state of [{}, { x: [], y: [1] }, { x: [{ a: [['f', null]] }], y: [1] }, 7])
    t.throws(() => broken.restore(state as never), { code: 'PREDICTOR_CORRUPT' });
});

t.test('a new target is placed among known ones', async (t) => {
  const source = samples(80, 21);
  const known = new PickedPredictor();
  known.fit(source.views, source.y);
  const rng = Xoshiro128.fromSeed(4);
  const target = samples(8, 22);
  // Three times slower, and noisier than eight samples can tell four costs apart.
  const y = target.y.map((v) => 3 * v * Math.exp(0.1 * gaussian(rng)));
  const test = samples(300, 23, 0);
  const errorWith = (transfer: boolean): number => {
    const sources = transfer ? [{ name: 'known', predict: (s: readonly Views[]) => known.predict(s) }] : [];
    const predictor = new PickedPredictor();
    predictor.fit(withTransfer(target.views, sources, 8), y);
    const { mean } = predictor.predict(withTransfer(test.views, sources, 8));
    return test.y.reduce((sum, v, i) => sum + Math.abs((mean[i] as number) / (3 * v) - 1), 0) / 300;
  };
  t.ok(errorWith(true) < 0.6 * errorWith(false), `${errorWith(true)} against ${errorWith(false)}`);
  t.same(
    Object.keys(
      withTransfer(target.views, [{ name: 'k', predict: (s) => known.predict(s) }], 15)[0] as Views,
    ),
    ['eager', 'pruned', 'decisions'],
    'not from 15 on',
  );
});

t.test('across spaces: what carries over is found on left-out spaces', async (t) => {
  const rng = Xoshiro128.fromSeed(8);
  const make = (space: string, n: number) =>
    Array.from({ length: n }, () => {
      const macs = 1e6 * Math.exp(2 * rng.next()) * (space === 'c' ? 5 : 1);
      const operators = 10 + randomInt(rng, 40);
      const own = new Map([
        [`${space} op`, operators],
        ['macs', macs],
        ['operators', operators],
      ]);
      return {
        space,
        views: {
          totals: new Map([
            ['macs', macs],
            ['operators', operators],
          ]),
          types: own,
        } satisfies Views,
        y: 20 + macs / 2e5 + 2 * operators,
      };
    });
  const train = [...make('a', 30), ...make('b', 30)];
  const predictor = new CrossSpacePredictor();
  predictor.fit(
    train.map((s) => s.views),
    train.map((s) => s.y),
    train.map((s) => s.space),
  );
  const test = make('c', 60);
  const { mean, low, high } = predictor.predict(test.map((s) => s.views));
  t.ok(
    kendall(
      [...mean],
      test.map((s) => s.y),
    ) > 0.9,
    predictor.report().model,
  );
  t.ok(mean.every((m, i) => (low[i] as number) <= m && m <= (high[i] as number)));
  t.throws(
    () =>
      predictor.fit(
        train.slice(0, 30).map((s) => s.views),
        train.slice(0, 30).map((s) => s.y),
        train.slice(0, 30).map(() => 'a'),
      ),
    { code: 'PREDICTOR_UNFIT' },
  );
});

t.test('across spaces: operators never seen do not come free', (t) => {
  const rng = Xoshiro128.fromSeed(9);
  const samples = Array.from({ length: 60 }, (_, i) => {
    const [slow, quick] = [1 + randomInt(rng, 20), 1 + randomInt(rng, 20)];
    const types = new Map([
      ['slow', slow],
      ['quick', quick],
    ]);
    const totals = new Map([['operators', slow + quick]]);
    return { space: i % 2 ? 'a' : 'b', views: { totals, types }, y: 100 * slow + quick };
  });
  const predictor = new CrossSpacePredictor();
  predictor.fit(
    samples.map(({ views }) => views),
    samples.map(({ y }) => y),
    samples.map(({ space }) => space),
  );
  t.match(predictor.report(), { model: 'table(types)', elsewhere: 'table(totals)' });
  const [first] = samples as [(typeof samples)[0]];
  const foreign = { ...first.views, types: new Map([['other', 20]]) };
  const { mean } = predictor.predict([first.views, foreign]);
  t.ok(Math.abs(mean[0]! / first.y - 1) < 0.05, 'known operators by their type');
  const perOperator = samples.reduce((sum, { y }) => sum + y, 0) / 60 / 21;
  t.ok(mean[1]! > 0.5 * perOperator * first.views.totals.get('operators')!, 'others by their number');
  t.end();
});

t.test('what to measure next: front, uncertain, audit, nothing twice', async (t) => {
  const at = (x: number, y: number, width: number) => ({
    costs: [x, y].map((v) => ({ mean: v, low: v - width, high: v + width })),
  });
  const candidates = [
    at(1, 1, 0),
    at(9, 9, 0),
    at(5, 5, 4),
    ...Array.from({ length: 30 }, () => at(8, 8, 0.1)),
  ];
  const p = frontProbabilities(candidates, [[2, 2]], Xoshiro128.fromSeed(1), 50);
  t.equal(p[0], 1);
  t.equal(p[1], 0);
  const chosen = chooseNext(candidates, [[2, 2]], 10, Xoshiro128.fromSeed(1));
  t.equal(new Set(chosen.map(({ index }) => index)).size, 10);
  t.equal(chosen[0]?.index, 0);
  t.equal(chosen.filter(({ reason }) => reason === 'audit').length, 1);
  t.equal(chooseNext(candidates, [], 99, Xoshiro128.fromSeed(2)).length, candidates.length);
});

t.test('drift: steady, shifted, scattered', async (t) => {
  const rng = Xoshiro128.fromSeed(6);
  const residuals = (n: number, shift: number, scatter: number): LiveResidual[] =>
    Array.from({ length: n }, (_, i) => {
      const measured = 100 * Math.exp(shift + scatter * gaussian(rng));
      return {
        predicted: 100,
        low: 100 * Math.exp(-0.0329),
        high: 100 * Math.exp(0.0329),
        measured,
        atMs: i,
      };
    });
  t.equal(detectDrift([]).state, 'too-few');
  t.equal(detectDrift(residuals(5, 1, 0)).state, 'too-few');
  const alarms = Array.from(
    { length: 300 },
    () => detectDrift(residuals(20, 0, 0.02)).state === 'drifted',
  ).filter(Boolean).length;
  t.ok(alarms <= 3, `${alarms} false alarms in 300 looks`);
  t.equal(detectDrift(residuals(20, 0.1, 0.02)).state, 'drifted');
  t.equal(detectDrift(residuals(30, 0, 0.08)).state, 'drifted', 'scatter alone');
  t.equal(
    detectDrift([
      ...residuals(100, 0.2, 0.02),
      ...residuals(60, 0, 0.02).map((r) => ({ ...r, atMs: r.atMs + 1000 })),
    ]).state,
    'steady',
    'the old does not count',
  );
  t.ok(Math.abs(binomialTail(4, 2, 0.5) - 11 / 16) < 1e-12);
  t.equal(binomialTail(5, 0, 0.1), 1);
});
