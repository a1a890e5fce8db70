import { z } from 'zod';
import { chainSpace, chosen, type Part } from '../chain-space.js';
import type { Space } from '../contract.js';
import { emitAttention } from '../parts/attention-layer.js';
import type { Emitter } from '../parts/emitter.js';
import { distinct, imageFile, size } from '../parts/file-fields.js';

/**
 * LowFormer (Nottebaum, Dunnhofer and Micheloni, WACV 2025): MACs are a poor guide to latency, so blocks choose between
 * a fused convolution (more MACs, fewer passes over memory) and a depthwise-separable one, and the last stages may hold
 * a lite attention that works at a lower resolution.
 */
export const lowformerFileSchema = z.strictObject({
  ...imageFile('lowformer'),
  stemWidth: size,
  stages: z
    .array(
      z.strictObject({
        width: size,
        depth: z.number().int().min(1).max(6),
        /** By how much attention shrinks the image; 0 where the stage may have none. */
        attentionStride: z.number().int().min(0).max(4),
      }),
    )
    .min(1)
    .max(6),
  expansions: distinct(z.number().int().min(1).max(8)),
});

export type LowformerFile = z.infer<typeof lowformerFileSchema>;

const blocks = ['separable', 'fused'] as const;
const attentions = ['none', 'lite'] as const;

export function lowformerSpace(file: LowformerFile): Space {
  const layers = file.stages.flatMap((stage, s) =>
    Array.from({ length: stage.depth }, (_, l) => ({
      ...stage,
      name: `stage${s + 1}.block${l + 1}`,
      first: l === 0,
    })),
  );
  const dims = layers.flatMap(({ name, attentionStride }) => [
    { name: `${name}.convolution`, choices: blocks },
    { name: `${name}.expansion`, choices: file.expansions },
    { name: `${name}.attention`, choices: attentionStride > 0 ? attentions : attentions.slice(0, 1) },
  ]);
  const last = (choices: readonly unknown[]): number => choices.length - 1;
  const widest = file.expansions.indexOf(Math.max(...file.expansions));
  const narrowest = file.expansions.indexOf(Math.min(...file.expansions));
  return chainSpace({
    id: file.id,
    dims,
    input: () => [1, ...file.input],
    parts: (indices) => [
      {
        key: 'stem',
        emit: (e, x) =>
          e.conv(x, 'stem', { out: file.stemWidth, kernel: 3, stride: 2, activation: 'hardSwish' }),
      },
      ...layers.flatMap((layer, i): Part[] => {
        const block = chosen(blocks, indices[3 * i]);
        const expansion = chosen(file.expansions, indices[3 * i + 1]);
        const stride = layer.first ? 2 : 1;
        const lite = chosen(attentions, indices[3 * i + 2]) === 'lite';
        return [
          {
            key: `${block} ${expansion} ${layer.width} ${stride}`,
            emit: (e, x) => emitBlock(e, x, `${layer.name}.${block}`, block, layer.width, expansion, stride),
          },
          {
            key: `lite ${lite} ${layer.attentionStride}`,
            emit: (e, x) =>
              lite ? liteAttention(e, x, `${layer.name}.attention`, layer.attentionStride) : x,
          },
        ];
      }),
      { key: 'head', emit: (e, x) => e.imageHead(x, 'classifier', file.classes) },
    ],
    seeds: [
      layers.flatMap(() => [0, narrowest, 0]),
      layers.flatMap(({ attentionStride }) => [1, widest, attentionStride > 0 ? last(attentions) : 0]),
    ],
  });
}

/** MBConv as one 3x3 convolution and a 1x1, or with the 3x3 split into a 1x1 and a depthwise one. */
function emitBlock(
  e: Emitter,
  x: string,
  name: string,
  block: (typeof blocks)[number],
  width: number,
  expansion: number,
  stride: number,
): string {
  const inWidth = e.b.dimsOf(x)[1] as number;
  const mid = inWidth * expansion;
  const activation = 'hardSwish';
  const deep =
    block === 'fused'
      ? e.conv(x, `${name}.expand`, { out: mid, kernel: 3, stride, activation })
      : e.conv(e.conv(x, `${name}.expand`, { out: mid, kernel: 1, activation }), `${name}.depthwise`, {
          out: mid,
          kernel: 3,
          stride,
          depthwise: true,
          activation,
        });
  const y = e.conv(deep, `${name}.project`, { out: width, kernel: 1, activation: 'none' });
  return stride === 1 && inWidth === width ? e.b.add(y, x) : y;
}

/** Strided depthwise convolution, attention over the small image, transposed convolution back, then a shortcut. */
function liteAttention(e: Emitter, x: string, name: string, stride: number): string {
  const { b } = e;
  const [, width, height, breadth] = b.dimsOf(x) as [number, number, number, number];
  // A stride that does not divide the image would not lead back to its size.
  const fits = height % stride === 0 && breadth % stride === 0 ? stride : 1;
  const small = e.conv(x, `${name}.down`, {
    out: width,
    kernel: 3,
    stride: fits,
    depthwise: true,
    activation: 'none',
  });
  const [, , h, w] = b.dimsOf(small) as [number, number, number, number];
  const heads = Math.max(1, Math.floor(width / 30));
  const headWidth = Math.max(4, Math.floor((width / heads) * (width > 80 ? 0.5 : 1)));
  const attended = e.toImage(
    emitAttention(e, e.toTokens(small), `${name}.mha`, { kind: 'mha', heads, headWidth }),
    h,
    w,
  );
  if (fits === 1) return b.add(x, attended);
  const up = b.node('ConvTranspose', [attended, e.weight(`${name}.up.weight`, [width, 1, fits, fits])], {
    kernel_shape: [fits, fits],
    strides: [fits, fits],
    group: width,
  });
  return b.add(x, up);
}
