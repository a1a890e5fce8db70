import type { Test } from 'tap';
import { type Architecture, architectureId } from '../../daemon/core/architecture.js';
import { randomInt, Xoshiro128 } from '../../daemon/core/rng.js';
import { structureHash } from '../../daemon/network/canonical-text.js';
import { costFeatures, countCost } from '../../daemon/network/cost.js';
import { readOnnx } from '../../daemon/network/read-onnx.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import type { Space } from '../../daemon/search/spaces/contract.js';
import { randomWeights } from '../../daemon/search/spaces/parts/random-weights.js';

/** What every space promises (daemon/search/spaces/contract.ts), on `samples` random architectures. */
export function runSpaceContract(t: Test, space: Space, samples: number): void {
  const draw = (seed: number, n: number): Architecture[] => {
    const rng = Xoshiro128.fromSeed(seed);
    return Array.from({ length: n }, () => space.sample(rng));
  };
  const id = (a: Architecture): string => architectureId(space.id, a);

  t.test('one seed, one sequence', async (t) => {
    t.same(draw(3, 20), draw(3, 20));
    if (space.size > 1000) t.not(draw(3, 20).map(id).join(), draw(4, 20).map(id).join());
  });

  t.test('every architecture is normal, builds, and its features are its network’s', async (t) => {
    const byStructure = new Map<string, string>();
    for (const a of draw(1, samples)) {
      t.same(space.normalise(a), a);
      const network = space.network(a);
      const cost = countCost(network);
      t.same(Object.fromEntries(space.features(a)), Object.fromEntries(costFeatures(cost)));
      const stats = space.stats(a);
      t.same(stats, {
        macs: cost.macs,
        parameters: cost.parameters,
        weightBytes: cost.weightBytes,
        peakActivationBytes: cost.peakActivationBytes,
      });
      const structure = structureHash(network);
      const known = byStructure.get(structure);
      if (known) t.equal(known, id(a), 'equal networks have equal ids');
      byStructure.set(structure, id(a));
    }
    // What a device of another machine answers for is known by this hash.
    const network = space.network(draw(1, 1)[0] as Architecture, randomWeights);
    t.equal(structureHash(readOnnx(writeOnnx(network))), structureHash(network), 'also once it was sent');
  });

  t.test('moves stay in the space and are reproducible', async (t) => {
    const run = (): string[] => {
      const rng = Xoshiro128.fromSeed(11);
      let a = space.sample(rng);
      return Array.from({ length: samples }, () => {
        const b = space.mutate(a, rng, [undefined, 0.5, 0.01][randomInt(rng, 3)] as number);
        if (space.size > 1) t.not(id(b), id(a), 'a mutation changes something');
        t.same(space.normalise(b), b);
        a = space.crossover ? space.crossover(a, b, rng) : b;
        t.same(space.normalise(a), a);
        return id(a);
      });
    };
    t.same(run(), run());
  });

  t.test('seeds: the smallest and the largest bound the samples', async (t) => {
    const seeds = space.seeds?.() ?? [];
    // A grammar has no smallest and largest: its seeds are good starting points alone.
    if (seeds.length < 2 || !space.dims) return;
    const macs = seeds.map((a) => space.stats(a).macs);
    for (const a of draw(5, 50)) {
      t.ok(space.stats(a).macs >= Math.min(...macs));
      t.ok(space.stats(a).macs <= Math.max(...macs));
    }
  });

  t.test('what belongs elsewhere is refused', async (t) => {
    for (const wrong of [[], [99], [0.5], { kind: 'tree' }, 'text']) {
      t.throws(() => space.normalise(wrong as Architecture), { code: 'ARCHITECTURE_INVALID' });
    }
  });
}
