import { generatedSigns } from '../../../daemon/network/generated-signs.js';
import { ceilTo, weightLayouts } from '../layout/format.js';
import { packWeights } from '../layout/pack-weights.js';
import type { ProgramRecord } from './program.js';

/**
 * What GENERATE writes, starting at a block of four outputs: weights of +127 and -127 from a seed. What fills a layout's
 * blocks is the stream's too, as on a board.
 */
export function generatedBytes(
  { layout: number, rows: { k, n, multiplier } }: ProgramRecord,
  block: number,
): Int8Array {
  const layout = weightLayouts[number] ?? 'rows';
  const [outputs, depth] = layout === 'rows' ? [n, k] : [ceilTo(n, 4), ceilTo(k, layout === 'mve' ? 16 : 4)];
  const weights = generatedSigns(multiplier, outputs, depth, 4 * block).map((sign) => 127 * sign);
  const packed = packWeights(weights, outputs, depth, layout);
  return new Int8Array(packed.buffer, packed.byteOffset, packed.length);
}
