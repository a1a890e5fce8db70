import assert from 'node:assert/strict';
import { architectureId } from '../core/architecture.js';
import { Xoshiro128 } from '../core/rng.js';
import { PredictorBank } from '../predict/bank.js';
import type { AskContext, Sampler, Trial } from '../search/samplers/contract.js';
import { architectureKey } from '../search/samplers/unseen.js';
import type { Space } from '../search/spaces/contract.js';
import { CellTableSpace, cellDecisions } from '../search/spaces/nasbench/table.js';
import { costViews } from '../search/spaces/parts/cost-views.js';
import type { ContractCase } from './contract-case.js';

const objectives = [
  { metric: 'gain', goal: 'max' },
  { metric: 'cost', goal: 'min' },
] as const;
const constraints = [{ metric: 'cost', max: 40 }];

/** A space of one decision with so many choices. */
function lineSpace(choices: number): Space {
  const cell = new CellTableSpace('line');
  return {
    id: 'line',
    dims: [{ name: 'x', choices: Array.from({ length: choices }, (_, i) => i) }],
    size: choices,
    sample: (rng) => [Math.floor(rng.next() * choices)],
    mutate: (_, rng) => [Math.floor(rng.next() * choices)],
    normalise: (architecture) => architecture,
    stats: () => ({ macs: 1, parameters: 1, weightBytes: 1, peakActivationBytes: 1 }),
    features: (architecture) => new Map([['x', (architecture as number[])[0] as number]]),
    network: cell.network,
  };
}

const evaluate = (a: readonly number[]): Record<string, number> => ({
  gain: a.reduce((sum, v, i) => sum + v * (i + 1), 0),
  cost: 1 + a.reduce((sum, v) => sum + v * v, 0),
});

/** Keys of what a sampler proposes, in order. */
function study(
  sampler: Sampler,
  space: Space,
  seed: number,
  rounds: number,
  options: { fail?: boolean; restoreEach?: () => Sampler } = {},
): string[] {
  const rng = Xoshiro128.fromSeed(seed);
  const bank = new PredictorBank({
    costViews: (a) => costViews(space, a),
    decisionFeatures: (a) =>
      space.id === 'line' ? space.features(a) : cellDecisions(a as readonly number[]),
    kindOf: (metric) => (metric === 'cost' ? 'cost' : 'quality'),
  });
  const history: Trial[] = [];
  let current = sampler;
  for (let round = 0; round < rounds; round++) {
    // Fits are what this suite's time goes to: only for whom they are made.
    if (current.needs.includes('predict')) bank.refit(history);
    const context: AskContext = {
      space,
      rng,
      objectives,
      constraints,
      history: [...history],
      pending: [],
      predict: bank.predict.bind(bank),
    };
    const trials = current.ask(10, context).map(({ architecture }, i): Trial => {
      const values = evaluate(architecture as readonly number[]);
      const state = options.fail ? 'failed' : (values.cost as number) <= 40 ? 'complete' : 'infeasible';
      return {
        number: history.length + i,
        id: architectureId(space.id, architecture),
        architecture,
        state,
        values: options.fail ? {} : values,
      };
    });
    current.tell([...trials].reverse());
    history.push(...trials);
    if (options.restoreEach) {
      const next = options.restoreEach();
      next.restore(JSON.parse(JSON.stringify(current.state())));
      current = next;
    }
  }
  return history.map(({ architecture }) => architectureKey(architecture));
}

/** What every sampler must keep; see the prose of `Sampler`. `make` makes a new one at each call. */
export function samplerContract(make: () => Sampler): readonly ContractCase[] {
  const space = new CellTableSpace();
  let kept: readonly string[] | undefined;
  const first = (): readonly string[] => {
    kept ??= study(make(), space, 7, 6);
    return kept;
  };
  const cases: readonly (readonly [name: string, check: () => void])[] = [
    ['gives as many as asked', () => assert.equal(first().length, 60)],
    ['never repeats itself', () => assert.equal(new Set(first()).size, 60)],
    ['same seed, same proposals', () => assert.deepEqual(study(make(), space, 7, 6), first())],
    ['another seed, others', () => assert.notDeepEqual(study(make(), space, 8, 1), first().slice(0, 10))],
    [
      'a restored sampler goes on alike',
      () => assert.deepEqual(study(make(), space, 7, 6, { restoreEach: make }), first()),
    ],
    [
      'goes on when every trial fails',
      () => assert.equal(new Set(study(make(), space, 7, 6, { fail: true })).size, 60),
    ],
    ['a space of one', () => assert.deepEqual(study(make(), lineSpace(1), 7, 3), ['[0]'])],
    [
      'exhausts a small space, then stops',
      () => {
        const all = study(make(), lineSpace(33), 7, 6);
        assert.equal(new Set(all).size, 33);
        assert.equal(all.length, 33);
      },
    ],
    [
      'leaves pending ones alone',
      () => {
        const rng = Xoshiro128.fromSeed(1);
        const pending = Array.from({ length: 32 }, (_, i) => [i]);
        const context = { space: lineSpace(33), rng, objectives, constraints, history: [], pending };
        assert.deepEqual(
          make()
            .ask(5, context)
            .map(({ architecture }) => architecture),
          [[32]],
        );
      },
    ],
  ];
  return cases.map(([name, check]) => ({ name, run: async () => check() }));
}
