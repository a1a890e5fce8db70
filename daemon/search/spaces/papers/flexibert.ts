import { z } from 'zod';
import { chainSpace, chosen, cutAtDepth, type Part } from '../chain-space.js';
import type { Space } from '../contract.js';
import { emitAttention } from '../parts/attention-layer.js';
import type { Emitter } from '../parts/emitter.js';
import { distinct, namedFile, size } from '../parts/file-fields.js';

const operations = ['sdp', 'wma', 'dft', 'dct', 'conv5', 'conv9', 'conv13'] as const;

/**
 * FlexiBERT (Tuli et al., JAIR 2022, section 3.1; design_space.yaml): encoders whose layers differ in width, in how they
 * mix tokens (attention by scaled dot product or by a learnt matrix, discrete Fourier or cosine transform, convolution
 * of 5, 9 or 13 tokens) and in their feed-forward stacks. The input is a sequence of embedded tokens.
 */
export const flexibertFileSchema = z.strictObject({
  ...namedFile('flexibert'),
  tokens: size,
  width: size,
  classes: size,
  depths: distinct(z.number().int().min(1).max(24)),
  hidden: distinct(size),
  operations: z
    .array(z.enum(operations))
    .min(1)
    .refine((values) => new Set(values).size === values.length, 'the same choice twice'),
  heads: distinct(z.number().int().min(1).max(32)),
  feedForward: distinct(size),
  stacks: distinct(z.number().int().min(1).max(4)),
});

export type FlexibertFile = z.infer<typeof flexibertFileSchema>;

const perLayer = 5;
const attends = (operation: string): boolean => operation === 'sdp' || operation === 'wma';

export function flexibertSpace(file: FlexibertFile): Space {
  const maxDepth = Math.max(...file.depths);
  const dims = [
    { name: 'depth', choices: file.depths },
    ...Array.from({ length: maxDepth }, (_, i) => [
      { name: `layer${i + 1}.hidden`, choices: file.hidden },
      { name: `layer${i + 1}.operation`, choices: file.operations },
      { name: `layer${i + 1}.heads`, choices: file.heads },
      { name: `layer${i + 1}.feedForward`, choices: file.feedForward },
      { name: `layer${i + 1}.stacks`, choices: file.stacks },
    ]).flat(),
  ];
  const cut = cutAtDepth(file.depths, 0, 1, perLayer);
  const withHeads = file.operations.filter(attends).length;
  const kinds = withHeads * file.heads.length + (file.operations.length - withHeads);
  const choices = file.hidden.length * kinds * file.feedForward.length * file.stacks.length;
  const layersOf = (indices: readonly number[]) =>
    Array.from({ length: chosen(file.depths, indices[0]) }, (_, i) => {
      const at = 1 + perLayer * i;
      return {
        name: `layer${i + 1}`,
        hidden: chosen(file.hidden, indices[at]),
        operation: chosen(file.operations, indices[at + 1]),
        heads: chosen(file.heads, indices[at + 2]),
        feedForward: chosen(file.feedForward, indices[at + 3]),
        stacks: chosen(file.stacks, indices[at + 4]),
      };
    });
  const space = chainSpace({
    id: file.id,
    dims,
    // Only attention has heads.
    normal: (indices) =>
      cut(indices).map((index, i, all) =>
        i > 0 && (i - 1) % perLayer === 2 && !attends(chosen(file.operations, all[i - 1])) ? 0 : index,
      ),
    size: file.depths.reduce((sum, depth) => sum + choices ** depth, 0),
    input: () => [1, file.tokens, file.width],
    parts: (indices) => [
      ...layersOf(indices).flatMap(({ name, hidden, operation, heads, feedForward, stacks }): Part[] => [
        {
          key: `to ${hidden}`,
          emit: (e, x) => (e.b.dimsOf(x).at(-1) === hidden ? x : e.linear(x, `${name}.resize`, hidden)),
        },
        {
          key: `${operation} ${attends(operation) ? heads : ''}`,
          emit: (e, x) => emitMixing(e, x, `${name}.${operation}`, operation, heads),
        },
        ...Array.from(
          { length: stacks },
          (_, s): Part => ({
            key: `mlp ${feedForward}`,
            emit: (e, x) => e.mlp(x, `${name}.stack${s + 1}`, feedForward),
          }),
        ),
      ]),
      { key: 'head', emit: (e, x) => e.tokenHead(x, 'classifier', file.classes) },
    ],
    seeds: [],
  });
  const extreme = (sign: number): number[] => {
    const at = (values: readonly number[]): number =>
      values.indexOf(sign < 0 ? Math.min(...values) : Math.max(...values));
    const layer = (operation: number): number[] => [
      at(file.hidden),
      operation,
      0,
      at(file.feedForward),
      at(file.stacks),
    ];
    const whole = (operation: number): number[] => [
      at(file.depths),
      ...Array.from({ length: maxDepth }, () => layer(operation)).flat(),
    ];
    const ranked = file.operations
      .map((_, i) => whole(i))
      .map((seed) => ({ seed, macs: space.stats(seed).macs }))
      .sort((a, b) => sign * (b.macs - a.macs));
    return [...(space.normalise(ranked[0]?.seed as number[]) as number[])];
  };
  return { ...space, seeds: () => [extreme(-1), extreme(1)] };
}

function emitMixing(
  e: Emitter,
  x: string,
  name: string,
  operation: (typeof operations)[number],
  heads: number,
): string {
  const { b } = e;
  const [, tokens, width] = b.dimsOf(x) as [number, number, number];
  if (operation === 'sdp')
    return emitAttention(e, x, name, { kind: 'mha', heads, headWidth: Math.floor(width / heads) });
  const normal = e.layerNorm(x, `${name}.norm`);
  if (operation === 'wma') {
    // Weighted multiplicative attention (Luong et al. 2015): scores are x W x^T for each head.
    const scores = Array.from({ length: heads }, (_, h) => {
      const weighted = b.matMul(normal, e.weight(`${name}.head${h}.matrix`, [width, width]));
      const mixed = b.matMul(
        b.softmax(b.mul(b.matMul(weighted, b.transpose(normal, [0, 2, 1])), b.scalar(width ** -0.5))),
        normal,
      );
      return e.linear(mixed, `${name}.head${h}.value`, Math.floor(width / heads));
    });
    const joined = heads === 1 ? (scores[0] as string) : b.concat(scores, 2);
    return b.add(x, e.linear(joined, `${name}.project`, width));
  }
  if (operation === 'dft' || operation === 'dct') {
    // Mixing by constant matrices: FNet (Lee-Thorp et al. 2022) keeps the real part of the two-dimensional DFT.
    const along = (part: 'cos' | 'sin', n: number): string => {
      const type = operation === 'dft' ? part : 'dct';
      return e.fixed(`fixed.${type}${n}`, [n, n], transformMatrix(type, n));
    };
    const both = (part: 'cos' | 'sin'): string =>
      b.matMul(along(part, tokens), b.matMul(normal, along(part, width)));
    return b.add(x, operation === 'dct' ? both('cos') : b.node('Sub', [both('cos'), both('sin')]));
  }
  const kernel = Number(operation.slice(4));
  const row = b.reshape(b.transpose(normal, [0, 2, 1]), [0, width, 1, tokens]);
  const mixed = b.conv(row, e.weight(`${name}.weight`, [width, 1, 1, kernel]), undefined, { groups: width });
  const back = b.transpose(b.reshape(mixed, [0, width, tokens]), [0, 2, 1]);
  return b.add(x, e.linear(b.gelu(back), `${name}.project`, width));
}

/** Orthonormal: cosine and sine parts of the DFT over sqrt n, DCT-II. */
function transformMatrix(type: 'cos' | 'sin' | 'dct', n: number): Float32Array {
  const at = (i: number, j: number): number => {
    if (type === 'dct')
      return Math.sqrt((i === 0 ? 1 : 2) / n) * Math.cos((Math.PI * (2 * j + 1) * i) / (2 * n));
    return (type === 'cos' ? Math.cos : Math.sin)((2 * Math.PI * i * j) / n) / Math.sqrt(n);
  };
  return Float32Array.from({ length: n * n }, (_, k) => at(Math.floor(k / n), k % n));
}
