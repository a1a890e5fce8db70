import { z } from 'zod';
import { distinct, imageFile, size } from '../parts/file-fields.js';

/** einspace (Ericsson et al., NeurIPS 2024): architectures are derivations of a grammar, JSON trees. Images are square. */
export const einspaceFileSchema = z.strictObject({
  ...imageFile('einspace'),
  /** Of linear layers. */
  widths: distinct(size),
  /** Of im2col: 1 and 3 slide by one pixel, others tile. */
  patches: distinct(z.number().int().min(1).max(32)),
  maxNodes: z.number().int().min(4).max(400),
  /** Of the network: branches of four and eight ways repeat a part, and may stand inside each other. */
  maxModules: z.number().int().min(4).max(4000).default(256),
  maxElements: z.number().int().min(256).max(10_000_000),
});

export type EinspaceFile = z.infer<typeof einspaceFileSchema>;
