import { z } from 'zod';
import type { Architecture } from '../../core/architecture.js';
import { costFeatures, countCost } from '../../network/cost.js';
import { floatTensor, type Graph } from '../../network/graph.js';
import { GraphBuilder } from '../../network/graph-builder.js';
import type { Dim, FreeStats, Space, WeightSource } from './contract.js';
import { distinct, imageFile, size } from './file-fields.js';
import { indexMoves } from './index-moves.js';
import { freeStats } from './mbconv.js';
import { randomWeights } from './random-weights.js';

/** MCUFormer's space (Liang et al., NeurIPS 2023): AutoFormer's decisions, and the rank and patch size around them. */
export const vitFileSchema = z.strictObject({
  ...imageFile('vit'),
  patches: distinct(z.number().int().min(1).max(64)),
  embeddings: distinct(size),
  depths: distinct(z.number().int().min(1).max(48)),
  /** Rank of every linear layer's two factors, as a share of its smaller side. */
  rankRatios: distinct(z.number().gt(0).max(1)),
  heads: distinct(z.number().int().min(1).max(32)),
  headWidth: size,
  mlpRatios: distinct(z.number().gt(0).max(16)),
});

export type VitFile = z.infer<typeof vitFileSchema>;

interface Block {
  readonly heads: number;
  readonly mlpRatio: number;
}

interface Shape {
  readonly patch: number;
  readonly embedding: number;
  readonly rankRatio: number;
  readonly blocks: readonly Block[];
}

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
    const b = new GraphBuilder({ name: file.id });
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
      const b = new GraphBuilder({ name: 'part' });
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

/** Padding on each side that makes the patches fit; MCUFormer pads 240 to 252 for patch 28. */
const paddingOf = (length: number, patch: number): number => {
  for (let pad = 0; ; pad++) if ((length + 2 * pad) % patch === 0 || pad >= patch) return pad;
};
const tokensAlong = (length: number, patch: number): number =>
  Math.floor((length + 2 * paddingOf(length, patch)) / patch);
const tokensOf = ({ input }: VitFile, patch: number): number =>
  tokensAlong(input[1], patch) * tokensAlong(input[2], patch);

function constants(
  b: GraphBuilder,
  weights: WeightSource,
): (name: string, dims: readonly number[]) => string {
  return (name, dims) => b.constant(name, floatTensor(dims, weights.tensor(name, dims)));
}

function emitEmbedding(
  b: GraphBuilder,
  x: string,
  file: VitFile,
  { patch, embedding }: Shape,
  weights: WeightSource,
): string {
  const constant = constants(b, weights);
  const tokens = tokensOf(file, patch);
  // Each patch size has its own kernel and positions: their shapes cannot be shared.
  const kernel = constant(`patch${patch}.weight`, [embedding, file.input[0], patch, patch]);
  const y = b.conv(x, kernel, constant(`patch${patch}.bias`, [embedding]), {
    stride: patch,
    pad: paddingOf(file.input[1], patch),
  });
  const sequence = b.transpose(b.reshape(y, [0, embedding, tokens]), [0, 2, 1]);
  return b.add(sequence, constant(`patch${patch}.position`, [1, tokens, embedding]));
}

/**
 * x [batch, tokens, in] through two factors in -> r -> out and a bias. MCUFormer trains three factors; the one in the
 * middle (r -> r, nothing non-linear beside it) can always be multiplied into a neighbour, so a network never holds it.
 */
function emitLinear(
  b: GraphBuilder,
  x: string,
  name: string,
  out: number,
  rankRatio: number,
  weights: WeightSource,
): string {
  const constant = constants(b, weights);
  const inWidth = b.dimsOf(x).at(-1) as number;
  const rank = Math.max(1, Math.floor(Math.min(inWidth, out) * rankRatio));
  const low = b.matMul(x, constant(`${name}.down`, [inWidth, rank]));
  return b.add(b.matMul(low, constant(`${name}.up`, [rank, out])), constant(`${name}.bias`, [out]));
}

function emitNorm(b: GraphBuilder, x: string, name: string, width: number, weights: WeightSource): string {
  const constant = constants(b, weights);
  return b.layerNorm(x, constant(`${name}.scale`, [width]), constant(`${name}.bias`, [width]));
}

/** Pre-norm block: multi-head self-attention, then MLP with GELU, each beside an identity shortcut. */
function emitBlock(
  b: GraphBuilder,
  x: string,
  name: string,
  file: VitFile,
  shape: Shape,
  block: Block,
  weights: WeightSource,
): string {
  const { embedding, rankRatio } = shape;
  const { headWidth } = file;
  const width = block.heads * headWidth;
  const tokens = b.dimsOf(x)[1] as number;
  const normal = emitNorm(b, x, `${name}.norm1`, embedding, weights);
  // [batch, tokens, heads * d] -> [batch, heads, tokens, d]; the 0 keeps whatever batch the graph is given.
  const split = (part: string, order: readonly number[]): string =>
    b.transpose(
      b.reshape(emitLinear(b, normal, `${name}.${part}`, width, rankRatio, weights), [
        0,
        tokens,
        block.heads,
        headWidth,
      ]),
      order,
    );
  const query = split('query', [0, 2, 1, 3]);
  const key = split('key', [0, 2, 3, 1]);
  const value = split('value', [0, 2, 1, 3]);
  const scores = b.softmax(b.mul(b.matMul(query, key), b.scalar(headWidth ** -0.5)));
  const joined = b.reshape(b.transpose(b.matMul(scores, value), [0, 2, 1, 3]), [0, tokens, width]);
  const attended = b.add(x, emitLinear(b, joined, `${name}.project`, embedding, rankRatio, weights));

  const hidden = Math.round(embedding * block.mlpRatio);
  const wide = b.gelu(
    emitLinear(
      b,
      emitNorm(b, attended, `${name}.norm2`, embedding, weights),
      `${name}.fc1`,
      hidden,
      rankRatio,
      weights,
    ),
  );
  return b.add(attended, emitLinear(b, wide, `${name}.fc2`, embedding, rankRatio, weights));
}

function emitHead(
  b: GraphBuilder,
  x: string,
  { classes }: VitFile,
  { embedding }: Shape,
  weights: WeightSource,
): string {
  const constant = constants(b, weights);
  const pooled = b.reduceMean(emitNorm(b, x, 'norm', embedding, weights), [1], 0);
  return b.gemm(
    pooled,
    constant('classifier.weight', [classes, embedding]),
    constant('classifier.bias', [classes]),
  );
}
