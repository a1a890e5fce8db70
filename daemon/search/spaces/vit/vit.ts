import type { Architecture } from '../../../core/architecture.js';
import { costFeatures, countCost } from '../../../network/cost.js';
import type { Graph } from '../../../network/graph.js';
import type { GraphBuilder } from '../../../network/graph-builder.js';
import type { Dim, FreeStats, Space, WeightSource } from '../contract.js';
import { freeStats } from '../parts/free-stats.js';
import { indexMoves } from '../parts/index-moves.js';
import { boundedBuilder } from '../parts/network-bounds.js';
import { randomWeights } from '../parts/random-weights.js';
import type { VitFile } from './file.js';
import { emitBlock, emitEmbedding, emitHead, type Shape, tokensOf } from './network.js';

const fixedDims = 4;

/** Vision transformers with low-rank linear layers. Decisions of blocks beyond the depth hold index 0. */
export function vitSpace(file: VitFile): Space {
  const maxDepth = Math.max(...file.depths);
  const dims: Dim[] = [
    { name: 'patch', choices: file.patches },
    { name: 'embedding', choices: file.embeddings },
    { name: 'rank', choices: file.rankRatios },
    { name: 'depth', choices: file.depths },
    ...Array.from({ length: maxDepth }, (_, i) => [
      { name: `block${i + 1}.heads`, choices: file.heads },
      { name: `block${i + 1}.mlp`, choices: file.mlpRatios },
    ]).flat(),
  ];
  const depthOf = (indices: readonly number[]): number => file.depths[indices[3] as number] as number;
  const moves = indexMoves(file.id, dims, (indices) =>
    indices.map((index, i) => (i < fixedDims + 2 * depthOf(indices) ? index : 0)),
  );
  const shapeOf = (architecture: Architecture): Shape => {
    const indices = moves.normalise(architecture);
    return {
      patch: file.patches[indices[0] as number] as number,
      embedding: file.embeddings[indices[1] as number] as number,
      rankRatio: file.rankRatios[indices[2] as number] as number,
      blocks: Array.from({ length: depthOf(indices) }, (_, i) => ({
        heads: file.heads[indices[fixedDims + 2 * i] as number] as number,
        mlpRatio: file.mlpRatios[indices[fixedDims + 2 * i + 1] as number] as number,
      })),
    };
  };

  const network = (architecture: Architecture, weights: WeightSource = randomWeights): Graph => {
    const shape = shapeOf(architecture);
    const b = boundedBuilder(file.id);
    let x = emitEmbedding(b, b.input('input', 'float32', [1, ...file.input]), file, shape, weights);
    shape.blocks.forEach((block, i) => {
      x = emitBlock(b, x, `block${i + 1}`, file, shape, block, weights);
    });
    b.output(emitHead(b, x, file, shape, weights), 'logits');
    return b.build();
  };

  // Blocks of one shape cost the same wherever they stand: a network's features are a sum over remembered parts.
  const parts = new Map<string, ReadonlyMap<string, number>>();
  const part = (
    key: string,
    inputDims: readonly number[],
    emit: (b: GraphBuilder, x: string) => string,
    output?: string,
  ): ReadonlyMap<string, number> => {
    let known = parts.get(key);
    if (!known) {
      const b = boundedBuilder('part');
      b.output(emit(b, b.input('x', 'float32', inputDims)), output);
      known = costFeatures(countCost(b.build()));
      parts.set(key, known);
    }
    return known;
  };
  const statsByKey = new Map<string, FreeStats>();
  const perBlock = file.heads.length * file.mlpRatios.length;

  return {
    id: file.id,
    dims,
    size:
      file.patches.length *
      file.embeddings.length *
      file.rankRatios.length *
      file.depths.reduce((sum, depth) => sum + perBlock ** depth, 0),
    ...moves,
    network,
    stats(architecture) {
      const key = moves.normalise(architecture).join();
      const known = statsByKey.get(key) ?? freeStats(network(architecture));
      statsByKey.set(key, known);
      return known;
    },
    features(architecture) {
      const shape = shapeOf(architecture);
      const { patch, embedding, rankRatio } = shape;
      const tokenDims = [1, tokensOf(file, patch), embedding];
      const sum = new Map(
        part(`embed ${patch} ${embedding}`, [1, ...file.input], (b, x) =>
          emitEmbedding(b, x, file, shape, randomWeights),
        ),
      );
      const all = [
        ...shape.blocks.map((block) =>
          part(`${tokenDims} ${rankRatio} ${block.heads} ${block.mlpRatio}`, tokenDims, (b, x) =>
            emitBlock(b, x, 'block', file, shape, block, randomWeights),
          ),
        ),
        part(`head ${tokenDims}`, tokenDims, (b, x) => emitHead(b, x, file, shape, randomWeights), 'logits'),
      ];
      for (const features of all)
        for (const [key, value] of features) sum.set(key, (sum.get(key) ?? 0) + value);
      return sum;
    },
    /** The smallest and the largest architecture: cheapest and dearest choice of every decision. */
    seeds: () =>
      [-1, 1].map((sign) =>
        moves.normalise(dims.map((dim) => extremeIndex(dim, dim.name === 'patch' ? -sign : sign))),
      ),
  };
}

/** Index of the smallest (-1) or largest (1) choice; a smaller patch means more tokens. */
function extremeIndex({ choices }: Dim, sign: number): number {
  return choices.reduce<number>(
    (best, choice, i) => (sign * (Number(choice) - Number(choices[best])) > 0 ? i : best),
    0,
  );
}
