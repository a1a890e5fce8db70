import { z } from 'zod';
import { distinct, imageFile, size } from '../parts/file-fields.js';

const odd = z
  .number()
  .int()
  .min(1)
  .max(15)
  .refine((k) => k % 2 === 1, 'an odd kernel size');

/** ProxylessNAS's space (Cai, Zhu and Han, ICLR 2019, section 4) with its stages, widths and input as parameters. */
export const mbconvFileSchema = z.strictObject({
  ...imageFile('mbconv'),
  stem: z.strictObject({ width: size, kernel: odd, stride: z.number().int().min(1).max(4) }),
  /** Width of the fixed first block: depthwise 3x3 without expansion. */
  firstWidth: size,
  stages: z
    .array(
      z.strictObject({
        width: size,
        layers: z.number().int().min(1).max(12),
        stride: z.number().int().min(1).max(2),
      }),
    )
    .min(1)
    .max(12),
  kernels: distinct(odd),
  expansions: distinct(z.number().int().min(1).max(12)),
  /** Whether layers that keep size and width may be left out, so that depth is searched. */
  skip: z.boolean(),
  headWidth: size,
});

export type MbconvFile = z.infer<typeof mbconvFileSchema>;

export interface Choice {
  readonly kernel: number;
  readonly expansion: number;
}

export interface Layer {
  readonly name: string;
  readonly inWidth: number;
  readonly width: number;
  readonly stride: number;
  /** Height and width of the input. */
  readonly inDims: readonly [number, number];
  readonly choices: readonly (Choice | 'skip')[];
}

export function listLayers(file: MbconvFile): Layer[] {
  const layers: Layer[] = [];
  const halve = (dims: readonly [number, number], stride: number): [number, number] => [
    Math.ceil(dims[0] / stride),
    Math.ceil(dims[1] / stride),
  ];
  let inWidth = file.firstWidth;
  let inDims = halve([file.input[1], file.input[2]], file.stem.stride);
  const operators = file.expansions.flatMap((expansion) =>
    file.kernels.map((kernel) => ({ kernel, expansion })),
  );
  file.stages.forEach((stage, s) => {
    for (let l = 0; l < stage.layers; l++) {
      const stride = l === 0 ? stage.stride : 1;
      const skippable = file.skip && stride === 1 && inWidth === stage.width;
      layers.push({
        name: `stage${s + 1}.layer${l + 1}`,
        inWidth,
        width: stage.width,
        stride,
        inDims,
        choices: skippable ? [...operators, 'skip'] : operators,
      });
      inWidth = stage.width;
      inDims = halve(inDims, stride);
    }
  });
  return layers;
}
