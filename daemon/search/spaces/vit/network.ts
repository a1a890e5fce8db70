import { floatTensor } from '../../../network/graph.js';
import type { GraphBuilder } from '../../../network/graph-builder.js';
import type { WeightSource } from '../contract.js';
import type { VitFile } from './file.js';

export interface Block {
  readonly heads: number;
  readonly mlpRatio: number;
}

export interface Shape {
  readonly patch: number;
  readonly embedding: number;
  readonly rankRatio: number;
  readonly blocks: readonly Block[];
}

/** Padding on each side that makes the patches fit; MCUFormer pads 240 to 252 for patch 28. */
const paddingOf = (length: number, patch: number): number => {
  for (let pad = 0; ; pad++) if ((length + 2 * pad) % patch === 0 || pad >= patch) return pad;
};

const tokensAlong = (length: number, patch: number): number =>
  Math.floor((length + 2 * paddingOf(length, patch)) / patch);

export const tokensOf = ({ input }: VitFile, patch: number): number =>
  tokensAlong(input[1], patch) * tokensAlong(input[2], patch);

function constants(
  b: GraphBuilder,
  weights: WeightSource,
): (name: string, dims: readonly number[]) => string {
  return (name, dims) => b.constant(name, floatTensor(dims, weights.tensor(name, dims)));
}

export function emitEmbedding(
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
export function emitBlock(
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
  // [batch, tokens, heads * d] -> [batch, heads, tokens, d]; the 0 keeps the batch that the graph is given.
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

export function emitHead(
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
