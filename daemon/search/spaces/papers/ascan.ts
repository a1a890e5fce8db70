import { z } from 'zod';
import { chainSpace, chosen, type Part } from '../chain-space.js';
import type { Space } from '../contract.js';
import { emitAttention } from '../parts/attention-layer.js';
import type { Emitter } from '../parts/emitter.js';
import { imageFile, size } from '../parts/file-fields.js';

/**
 * AsCAN (Kag et al., NeurIPS 2024): every block of every stage is a convolution (C) or a transformer (T); the paper's
 * networks have more of the first early and more of the second late, e.g. CCC, CCT, CTT, TTT.
 */
export const ascanFileSchema = z.strictObject({
  ...imageFile('ascan'),
  stemWidth: size,
  stages: z
    .array(z.strictObject({ width: size, blocks: z.number().int().min(1).max(8) }))
    .min(1)
    .max(6),
  expansion: z.number().int().min(1).max(8),
  headWidth: size,
});

export type AscanFile = z.infer<typeof ascanFileSchema>;

const letters = ['C', 'T'] as const;

export function ascanSpace(file: AscanFile): Space {
  const blocks = file.stages.flatMap(({ width, blocks: n }, s) =>
    Array.from({ length: n }, (_, i) => ({ name: `stage${s + 1}.block${i + 1}`, width, stage: s, place: i })),
  );
  // Blocks of one letter cost alike within a stage; which letter costs more depends on the image: both pure strings are seeds.
  const space = chainSpace({
    id: file.id,
    dims: blocks.map(({ name }) => ({ name, choices: letters })),
    input: () => [1, ...file.input],
    parts: (indices) => [
      { key: 'stem', emit: (e, x) => e.conv(x, 'stem', { out: file.stemWidth, kernel: 3, stride: 2 }) },
      ...blocks.flatMap((block, i): Part[] => {
        const letter = chosen(letters, indices[i]);
        const narrow: Part[] =
          block.place > 0
            ? []
            : [
                {
                  key: `down ${block.width}`,
                  emit: (e, x) =>
                    e.conv(x, `stage${block.stage + 1}.down`, { out: block.width, kernel: 3, stride: 2 }),
                },
              ];
        return [
          ...narrow,
          {
            key: letter,
            emit: (e, x) =>
              letter === 'C' ? convolution(e, x, block.name, file) : transformer(e, x, block.name, file),
          },
        ];
      }),
      { key: 'head', emit: (e, x) => e.imageHead(x, 'classifier', file.classes) },
    ],
    seeds: [blocks.map(() => 0), blocks.map(() => 1)],
  });
  // Smallest and largest: stage by stage whichever letter takes fewer or more MACs.
  const macs = (indices: readonly number[]): number => space.stats(indices).macs;
  const extreme = (sign: number): number[] => {
    const base = blocks.map(() => 0);
    return blocks.map((_, i) =>
      sign * (macs(base.map((_, k) => (k === i ? 1 : 0))) - macs(base)) > 0 ? 1 : 0,
    );
  };
  return { ...space, seeds: () => [extreme(-1), asymmetric(file), extreme(1)] };
}

/** The paper's shape: convolutions first, one more transformer in every further stage. */
const asymmetric = ({ stages }: AscanFile): number[] =>
  stages.flatMap(({ blocks }, s) => Array.from({ length: blocks }, (_, i) => (i >= blocks - s ? 1 : 0)));

/** Fused residual block: 3x3 that widens, 1x1 that narrows. */
function convolution(e: Emitter, x: string, name: string, { expansion }: AscanFile): string {
  const width = e.b.dimsOf(x)[1] as number;
  const wide = e.conv(x, `${name}.conv1`, { out: width * expansion, kernel: 3, activation: 'gelu' });
  return e.b.add(x, e.conv(wide, `${name}.conv2`, { out: width, kernel: 1, activation: 'none' }));
}

function transformer(e: Emitter, x: string, name: string, { expansion, headWidth }: AscanFile): string {
  const [, width, h, w] = e.b.dimsOf(x) as [number, number, number, number];
  const heads = Math.max(1, Math.floor(width / headWidth));
  const attended = emitAttention(e, e.toTokens(x), `${name}.attention`, { kind: 'mha', heads, headWidth });
  return e.toImage(e.mlp(attended, `${name}.mlp`, width * expansion), h, w);
}
