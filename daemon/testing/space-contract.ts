import assert from 'node:assert/strict';
import { type Architecture, architectureId } from '../core/architecture.js';
import { randomInt, Xoshiro128 } from '../core/rng.js';
import { structureHash } from '../network/canonical-text.js';
import { costFeatures, countCost } from '../network/cost.js';
import { readOnnx } from '../network/read-onnx.js';
import { writeOnnx } from '../network/write-onnx.js';
import type { Space } from '../search/spaces/contract.js';
import { randomWeights } from '../search/spaces/parts/random-weights.js';
import type { ContractCase } from './contract-case.js';

/** What every space promises (see the prose of `Space`), on `samples` random architectures. */
export function spaceContract(space: Space, samples: number): readonly ContractCase[] {
  const draw = (seed: number, n: number): Architecture[] => {
    const rng = Xoshiro128.fromSeed(seed);
    return Array.from({ length: n }, () => space.sample(rng));
  };
  const id = (a: Architecture): string => architectureId(space.id, a);
  const cases: readonly (readonly [name: string, check: () => void])[] = [
    [
      'one seed, one sequence',
      () => {
        assert.deepEqual(draw(3, 20), draw(3, 20));
        if (space.size > 1000) assert.notEqual(draw(3, 20).map(id).join(), draw(4, 20).map(id).join());
      },
    ],
    [
      'every architecture is normal, builds, and its features are its network’s',
      () => builds(space, draw, id, samples),
    ],
    [
      'moves stay in the space and are reproducible',
      () => {
        const run = (): string[] => {
          const rng = Xoshiro128.fromSeed(11);
          let a = space.sample(rng);
          return Array.from({ length: samples }, () => {
            const b = space.mutate(a, rng, [undefined, 0.5, 0.01][randomInt(rng, 3)] as number);
            if (space.size > 1) assert.notEqual(id(b), id(a), 'a mutation changes something');
            assert.deepEqual(space.normalise(b), b);
            a = space.crossover ? space.crossover(a, b, rng) : b;
            assert.deepEqual(space.normalise(a), a);
            return id(a);
          });
        };
        assert.deepEqual(run(), run());
      },
    ],
    [
      'seeds: the smallest and the largest bound the samples',
      () => {
        const seeds = space.seeds?.() ?? [];
        // A grammar has no smallest and largest: its seeds are good starting points alone.
        if (seeds.length < 2 || !space.dims) return;
        const macs = seeds.map((a) => space.stats(a).macs);
        for (const a of draw(5, 50)) {
          assert.ok(space.stats(a).macs >= Math.min(...macs));
          assert.ok(space.stats(a).macs <= Math.max(...macs));
        }
      },
    ],
    [
      'what belongs elsewhere is refused',
      () => {
        for (const wrong of [[], [99], [0.5], { kind: 'tree' }, 'text'])
          assert.throws(() => space.normalise(wrong as Architecture), { code: 'ARCHITECTURE_INVALID' });
      },
    ],
  ];
  return cases.map(([name, check]) => ({ name, run: async () => check() }));
}

function builds(
  space: Space,
  draw: (seed: number, n: number) => Architecture[],
  id: (a: Architecture) => string,
  samples: number,
): void {
  const byStructure = new Map<string, string>();
  for (const a of draw(1, samples)) {
    assert.deepEqual(space.normalise(a), a);
    const network = space.network(a);
    const cost = countCost(network);
    assert.deepEqual(Object.fromEntries(space.features(a)), Object.fromEntries(costFeatures(cost)));
    const { macs, parameters, weightBytes, peakActivationBytes } = cost;
    assert.deepEqual({ ...space.stats(a) }, { macs, parameters, weightBytes, peakActivationBytes });
    const structure = structureHash(network);
    const known = byStructure.get(structure);
    if (known) assert.equal(known, id(a), 'equal networks have equal ids');
    byStructure.set(structure, id(a));
  }
  // What a device of another machine answers for is known by this hash.
  const network = space.network(draw(1, 1)[0] as Architecture, randomWeights);
  assert.equal(structureHash(readOnnx(writeOnnx(network))), structureHash(network), 'also once it was sent');
}
