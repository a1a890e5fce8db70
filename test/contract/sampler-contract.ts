import type { Test } from 'tap';
import { architectureId } from '../../daemon/core/architecture.js';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import { PredictorBank } from '../../daemon/predict/bank.js';
import type { AskContext, Sampler, Trial } from '../../daemon/search/samplers/contract.js';
import { architectureKey } from '../../daemon/search/samplers/unseen.js';
import type { Space } from '../../daemon/search/spaces/contract.js';
import { CellTableSpace, cellDecisions } from '../../daemon/search/spaces/nasbench/table.js';
import { costViews } from '../../daemon/search/spaces/parts/cost-views.js';

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

/** What every sampler must keep; see the contract's prose. */
export function samplerContract(t: Test, make: () => Sampler): void {
  const space = new CellTableSpace();
  const first = study(make(), space, 7, 6);
  t.equal(first.length, 60, 'gives as many as asked');
  t.equal(new Set(first).size, 60, 'never repeats itself');
  t.same(study(make(), space, 7, 6), first, 'same seed, same proposals');
  t.notSame(study(make(), space, 8, 1), first.slice(0, 10), 'another seed, others');
  t.same(study(make(), space, 7, 6, { restoreEach: make }), first, 'a restored sampler goes on alike');
  t.equal(new Set(study(make(), space, 7, 6, { fail: true })).size, 60, 'goes on when every trial fails');
  t.same(study(make(), lineSpace(1), 7, 3), ['[0]'], 'a space of one');
  t.equal(new Set(study(make(), lineSpace(33), 7, 6)).size, 33, 'exhausts a small space, then stops');
  t.equal(study(make(), lineSpace(33), 7, 6).length, 33);

  const rng = Xoshiro128.fromSeed(1);
  const pending = Array.from({ length: 32 }, (_, i) => [i]);
  const last = make().ask(5, { space: lineSpace(33), rng, objectives, constraints, history: [], pending });
  t.same(
    last.map(({ architecture }) => architecture),
    [[32]],
    'leaves pending ones alone',
  );
}
