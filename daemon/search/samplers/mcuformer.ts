import { z } from 'zod';
import type { Architecture } from '../../core/architecture.js';
import { pick, randomInt } from '../../core/rng.js';
import { cross } from './offspring.js';
import { count, definePlugin, indicesOf, memoryless, normalised, proposeUnseen, share } from './plugin.js';
import { bestArchitectures } from './rank.js';

/**
 * MCUFormer's evolution (Liang et al., NeurIPS 2023, section 3.2, with AutoFormer's constants): the best 10 trials ever
 * seen are parents; half of the children are mutations (a decision of one layer is redrawn with probability 0.2, one of
 * the whole network, such as depth or width, with 0.4), half are crossovers of two parents of the same shape. Where the
 * authors count parameters, the limits here are what the study measured: a trial above its SRAM is infeasible.
 */
export const mcuformer = definePlugin({
  name: 'mcuformer',
  options: z.strictObject({
    population: count(50),
    parents: count(10),
    layerProbability: share(0.2),
    shapeProbability: share(0.4),
  }),
  create: ({ population, parents: parentCount, layerProbability, shapeProbability }) =>
    memoryless('mcuformer', ['dims'], (n, context) => {
      const { space, rng } = context;
      const dims = space.dims ?? [];
      // Decisions of one layer are named `<layer>.<what>`.
      const layered = dims.some((dim) => dim.name.includes('.'));
      const isShape = dims.map((dim) => layered && !dim.name.includes('.'));
      const parents = bestArchitectures(context, parentCount);
      const shapeOf = (a: Architecture): string =>
        indicesOf(a)
          .filter((_, i) => dims[i]?.name === 'depth')
          .join();
      let turn = 0;
      return proposeUnseen(
        n,
        context,
        () => {
          if (turn++ % 2 === 0) {
            const parent = indicesOf(pick(rng, parents));
            const child = parent.map((index, i) =>
              rng.next() < (isShape[i] ? shapeProbability : layerProbability)
                ? randomInt(rng, dims[i]?.choices.length ?? 1)
                : index,
            );
            const architecture = normalised(context, child);
            return architecture && { architecture, note: 'mutation' };
          }
          const [a, b] = [pick(rng, parents), pick(rng, parents)];
          if (shapeOf(a) !== shapeOf(b)) return undefined;
          return { architecture: cross(space, a, b, rng), note: 'crossover' };
        },
        { initial: Math.min(population, Math.max(20, 2 * n)), tries: 20 * n },
      );
    }),
});
