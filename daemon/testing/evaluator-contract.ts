import assert from 'node:assert/strict';
import { type Architecture, architectureId } from '../core/architecture.js';
import { Xoshiro128 } from '../core/rng.js';
import type { Evaluator } from '../evaluate/contract.js';
import type { Space } from '../search/spaces/contract.js';
import type { ContractCase } from './contract-case.js';

/** What every evaluator promises (see the prose of `Evaluator`), on `samples` random architectures. Each case closes its own. */
export function evaluatorContract(
  open: () => Promise<Evaluator>,
  space: Space,
  samples: number,
): readonly ContractCase[] {
  const rng = Xoshiro128.fromSeed(17);
  const drawn = Array.from({ length: samples }, () => space.sample(rng));
  const { signal } = new AbortController();
  const using = async (check: (evaluator: Evaluator) => Promise<void>): Promise<void> => {
    const evaluator = await open();
    try {
      await check(evaluator);
    } finally {
      await evaluator.close();
    }
  };
  const valuesOf = async (evaluator: Evaluator, architecture: Architecture) =>
    (await evaluator.evaluate(architecture, { signal })).values;
  return [
    {
      name: 'every metric that it names, finite, with a source',
      run: () =>
        using(async (evaluator) => {
          assert.ok(evaluator.metrics.length > 0);
          assert.equal(new Set(evaluator.metrics).size, evaluator.metrics.length);
          for (const architecture of drawn) {
            const { values, source } = await evaluator.evaluate(architecture, { signal });
            for (const metric of evaluator.metrics)
              assert.ok(Number.isFinite(values[metric]), `${metric} ${values[metric]}`);
            assert.ok(source.length > 0);
          }
        }),
    },
    {
      name: 'one architecture, one answer: in any order, and of another evaluator of the same options',
      run: () =>
        using(async (first) => {
          const before: unknown[] = [];
          for (const architecture of drawn) before.push(await valuesOf(first, architecture));
          await using(async (second) => {
            for (const [i, architecture] of [...drawn.entries()].reverse())
              assert.deepEqual(await valuesOf(second, architecture), before[i]);
          });
        }),
    },
    {
      name: 'side by side as one after the other',
      run: () =>
        using(async (evaluator) => {
          const together = await Promise.all(drawn.map((architecture) => valuesOf(evaluator, architecture)));
          for (const [i, architecture] of drawn.entries())
            assert.deepEqual(await valuesOf(evaluator, architecture), together[i]);
        }),
    },
    {
      name: 'an architecture is not changed',
      run: () =>
        using(async (evaluator) => {
          for (const architecture of drawn) {
            const before = architectureId(space.id, architecture);
            await valuesOf(evaluator, architecture);
            assert.equal(architectureId(space.id, architecture), before);
          }
        }),
    },
    {
      name: 'one that is aborted before it begins is INTERRUPTED',
      run: () =>
        using((evaluator) =>
          assert.rejects(
            evaluator.evaluate(drawn[0] as Architecture, { signal: AbortSignal.abort(new Error('enough')) }),
            { code: 'INTERRUPTED' },
          ),
        ),
    },
  ];
}
