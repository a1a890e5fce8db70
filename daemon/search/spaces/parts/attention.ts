import { z } from 'zod';
import { chainSpace, chosen, cutAtDepth } from '../chain-space.js';
import type { Space } from '../contract.js';
import { emitAttention } from './attention-layer.js';
import { distinct, namedFile } from './file-fields.js';

const size = z.number().int().min(1).max(65_536);

/** Encoders whose layers choose how they attend: MHA, GQA, MQA, SQA (fewer query heads), linear; mixed by layer. */
export const attentionFileSchema = z.strictObject({
  ...namedFile('attention'),
  /** Vectors that come in, and how wide they are. */
  tokens: size,
  width: size,
  classes: size,
  depths: distinct(z.number().int().min(1).max(48)),
  kinds: z
    .array(z.enum(['mha', 'gqa', 'mqa', 'sqa', 'xsqa', 'linear']))
    .min(1)
    .refine((values) => new Set(values).size === values.length, 'the same choice twice'),
  /** Heads of the full layer: at least 4, so that every kind differs. */
  heads: z.number().int().min(4).max(64),
  headWidth: size,
  mlpRatios: distinct(z.number().gt(0).max(16)),
});

export type AttentionFile = z.infer<typeof attentionFileSchema>;

export function attentionSpace(file: AttentionFile): Space {
  const maxDepth = Math.max(...file.depths);
  const dims = [
    { name: 'depth', choices: file.depths },
    ...Array.from({ length: maxDepth }, (_, i) => [
      { name: `layer${i + 1}.attention`, choices: file.kinds },
      { name: `layer${i + 1}.mlp`, choices: file.mlpRatios },
    ]).flat(),
  ];
  const perLayer = file.kinds.length * file.mlpRatios.length;
  // Queries, keys, values and projection, and the scores: by weight of computation.
  const cost = { xsqa: 0, linear: 1, sqa: 2, mqa: 3, gqa: 4, mha: 5 } as const;
  const extreme = (sign: number): number[] => {
    const at = <T>(choices: readonly T[], of: (c: T) => number): number =>
      choices.reduce((best, c, i) => (sign * (of(c) - of(choices[best] as T)) > 0 ? i : best), 0);
    const layer = [at(file.kinds, (kind) => cost[kind]), at(file.mlpRatios, Number)];
    return [at(file.depths, Number), ...Array.from({ length: maxDepth }, () => layer).flat()];
  };
  return chainSpace({
    id: file.id,
    dims,
    normal: cutAtDepth(file.depths, 0, 1, 2),
    size: file.depths.reduce((sum, depth) => sum + perLayer ** depth, 0),
    input: () => [1, file.tokens, file.width],
    parts: (indices) => [
      ...Array.from({ length: chosen(file.depths, indices[0]) }, (_, i) => {
        const kind = chosen(file.kinds, indices[1 + 2 * i]);
        const ratio = chosen(file.mlpRatios, indices[2 + 2 * i]);
        const { heads, headWidth } = file;
        return [
          {
            key: kind,
            emit: (e, x) => emitAttention(e, x, `layer${i + 1}.${kind}`, { kind, heads, headWidth }),
          },
          { key: `mlp ${ratio}`, emit: (e, x) => e.mlp(x, `layer${i + 1}`, Math.round(file.width * ratio)) },
        ] satisfies ReturnType<Parameters<typeof chainSpace>[0]['parts']>;
      }).flat(),
      { key: 'head', emit: (e, x) => e.tokenHead(x, 'classifier', file.classes) },
    ],
    seeds: [extreme(-1), extreme(1)],
  });
}
