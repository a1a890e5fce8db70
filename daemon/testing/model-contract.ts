import assert from 'node:assert/strict';
import { gaussian, Xoshiro128 } from '../core/rng.js';
import { PickedPredictor } from '../predict/picked.js';
import type { CostModel, ModelSamples } from '../predict/picker/other-models.js';
import { scorePredictions } from '../predict/score.js';
import type { ContractCase } from './contract-case.js';

/** Costs that add up over operators, with noise of a percent; the last column never varies what it costs. */
function drawn(seed: number, n: number): ModelSamples {
  const rng = Xoshiro128.fromSeed(seed);
  const columns = ['Conv 3x3', 'Conv 1x1', 'Gemm', 'Relu'];
  const rows = Array.from({ length: n }, () =>
    Float64Array.from(columns, () => 1 + Math.floor(rng.next() * 9)),
  );
  const costs = rows.map((row) => 40 + 30 * row[0]! + 12 * row[1]! + 5 * row[2]!);
  const logCosts = Float64Array.from(costs, (cost) => Math.log(cost) + 0.01 * gaussian(rng));
  return { columns, rows, logCosts, weights: new Float64Array(n).fill(1) };
}

/** What every model of costs promises (see the prose of `ModelKind`). */
export function modelContract(model: CostModel): readonly ContractCase[] {
  const n = Math.max(80, 2 * model.minimumSamples);
  const samples = drawn(3, n);
  const strange = drawn(4, 20);
  const answers = (): number[] => [...model.fit(samples)(strange.rows)];
  const cases: readonly (readonly [string, () => void])[] = [
    [
      'one finite prediction for each network',
      () => assert.equal(answers().filter(Number.isFinite).length, 20),
    ],
    ['no networks, no predictions', () => assert.equal(model.fit(samples)([]).length, 0)],
    ['equal samples, equal predictions', () => assert.deepEqual(answers(), answers())],
    [
      'what it learnt before changes nothing',
      () => {
        const before = answers();
        model.fit(drawn(9, n));
        assert.deepEqual(answers(), before);
      },
    ],
    [
      'a fitted model stays as it is while another one is fitted',
      () => {
        const fitted = model.fit(samples);
        const before = [...fitted(strange.rows)];
        model.fit(drawn(9, n))(strange.rows);
        assert.deepEqual([...fitted(strange.rows)], before);
      },
    ],
    ['the fewest samples that it takes', () => void model.fit(drawn(5, model.minimumSamples))(strange.rows)],
    [
      'it learns costs that add up',
      () => {
        const { spearman } = scorePredictions(
          [...strange.logCosts].map(Math.exp),
          answers().map(Math.exp),
          answers().map(() => true),
        );
        assert.ok(spearman > 0.7, `Spearman ${spearman}`);
      },
    ],
    [
      'beside hilda’s own models it is chosen or not, and the intervals hold',
      () => {
        const views = (given: ModelSamples) =>
          given.rows.map((row) => ({
            operators: new Map(given.columns.map((name, j) => [name, row[j] as number])),
          }));
        const predictor = new PickedPredictor([model]);
        predictor.fit(views(samples), [...samples.logCosts].map(Math.exp));
        assert.ok(
          Object.keys(predictor.report().candidates).some((label) => label.startsWith(`${model.name}(`)),
        );
        const { low, high } = predictor.predict(views(strange));
        const held = strange.logCosts.filter(
          (value, i) => Math.log(low[i]!) <= value && value <= Math.log(high[i]!),
        );
        assert.ok(held.length >= 14, `${held.length} of 20 in their 90 % interval`);
      },
    ],
  ];
  return cases.map(([name, check]) => ({ name, run: async () => check() }));
}
