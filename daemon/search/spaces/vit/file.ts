import { z } from 'zod';
import { distinct, imageFile, size } from '../parts/file-fields.js';

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
