import { z } from 'zod';
import { distinct, namedFile, size } from '../parts/file-fields.js';

/** Once-for-all's MobileNetV3 space (Cai et al., ICLR 2020, section 4.1; ofa/imagenet_classification/elastic_nn). */
export const ofaFileSchema = z.strictObject({
  ...namedFile('ofa'),
  channels: size.default(3),
  resolutions: distinct(size),
  classes: size,
  stemWidth: size,
  firstWidth: size,
  stages: z
    .array(
      z.strictObject({
        width: size,
        stride: z.number().int().min(1).max(2),
        activation: z.enum(['relu', 'hardSwish']),
        squeeze: z.boolean(),
      }),
    )
    .min(1)
    .max(8),
  depths: distinct(z.number().int().min(1).max(6)),
  kernels: distinct(z.number().int().min(1).max(11)),
  expansions: distinct(z.number().int().min(1).max(12)),
  headWidth: size,
  featureWidth: size,
});

export type OfaFile = z.infer<typeof ofaFileSchema>;
