import type { LayerConstants } from '../quantise/quantise-weights.js';
import { ceilTo, type WeightLayout } from './format.js';
import { layoutFor, packedBytes } from './pack-weights.js';

/** How a layer's weights lie: packed in blocks of channels, or channel by channel for depthwise convolutions. */
export type WeightForm = 'packed' | 'channels';

/** Bytes of a layer's weights in a form, found without packing them. */
export function weightSize(constants: LayerConstants, form: WeightForm, layout: WeightLayout): number {
  const { outputs, depth } = constants;
  if (form === 'packed') return packedBytes(outputs, depth, layoutFor(constants, layout));
  return depth * ceilTo(outputs, 4);
}

/** Bytes of arena in which a tile of generated channels lies: its weights, then its biases and multipliers. */
export const generatedTileBytes = (outputs: number, depth: number, layout: WeightLayout): number =>
  biasesAt(outputs, depth, layout) + 8 * ceilTo(outputs, 4);

/** Where the biases of such a tile begin, in bytes from its start. */
export const biasesAt = (outputs: number, depth: number, layout: WeightLayout): number =>
  ceilTo(packedBytes(outputs, depth, layout), 4);
