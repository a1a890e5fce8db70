import type { LayerConstants } from '../quantise/quantise-weights.js';
import { ceilTo, type WeightLayout } from './format.js';

/** Bytes of n x k weights in a layout (ABI.md, "Weight layouts"). */
export function packedBytes(n: number, k: number, layout: WeightLayout): number {
  if (layout === 'rows') return n * k;
  return ceilTo(n, 4) * ceilTo(k, layout === 'mve' ? 16 : 4);
}

/** How many inputs a kernel adds up before it takes the two halves of a pair apart (ABI.md, "Weight layouts"). */
const inputsOfASum = 512;

/**
 * The layout that a layer can have where a core wants `layout`: a pair of -128 and a negative weight fits no 16 bits, nor
 * do sums of -128 alone, and such a layer (which only a network's own integers make) lies in rows.
 */
export function layoutFor(
  { weights, outputs, depth }: Pick<LayerConstants, 'weights' | 'outputs' | 'depth'>,
  layout: WeightLayout,
): WeightLayout {
  if (layout === 'rows' || layout === 'mve') return layout;
  for (let high = 1; high < outputs; high += 2) {
    let least = 0;
    for (let i = 0; i < depth; i++) {
      if (weights[high * depth + i] !== -128) continue;
      if ((weights[(high - 1) * depth + i] as number) < 0 || ++least >= inputsOfASum) return 'rows';
    }
  }
  return layout;
}

/** Weights [n][k] in the order a core's kernels read them; what is added to fill a block is zero. */
export function packWeights(weights: Int8Array, n: number, k: number, layout: WeightLayout): Uint8Array {
  const out = new Uint8Array(packedBytes(n, k, layout));
  const at = (j: number, i: number): number => (j < n && i < k ? (weights[j * k + i] as number) : 0);
  if (layout === 'rows') {
    out.set(new Uint8Array(weights.buffer, weights.byteOffset, n * k));
    return out;
  }
  const blocks = ceilTo(n, 4) / 4;
  if (layout === 'mve') {
    const groups = ceilTo(k, 16) / 16;
    for (let b = 0; b < blocks; b++)
      for (let g = 0; g < groups; g++)
        for (let j = 0; j < 4; j++)
          for (let i = 0; i < 16; i++) out[((b * groups + g) * 4 + j) * 16 + i] = at(4 * b + j, 16 * g + i);
    return out;
  }
  const words = new DataView(out.buffer);
  const k4 = ceilTo(k, 4);
  const pair = (high: number, low: number): number => (256 * high + low) & 0xffff;
  for (let b = 0; b < blocks; b++) {
    const at4 = (lane: number, i: number): number => at(4 * b + lane, i);
    for (let i = 0; i < k4; i++) {
      if (layout === 'scalar') {
        const word = pair(at4(1, i), at4(0, i)) | (pair(at4(3, i), at4(2, i)) << 16);
        words.setInt32(4 * (b * k4 + i), word, true);
        continue;
      }
      // One word for each (group of 4 inputs, h, p); i walks the words of the block.
      const [g, h, p] = [i >> 2, (i >> 1) & 1, i & 1];
      const low = pair(at4(2 * p + 1, 4 * g + h), at4(2 * p, 4 * g + h));
      const high = pair(at4(2 * p + 1, 4 * g + h + 2), at4(2 * p, 4 * g + h + 2));
      words.setInt32(4 * (b * k4 + i), low | (high << 16), true);
    }
  }
  return out;
}

/** The inverse: [n][k] as the kernels decode it. Any bytes have a meaning, as those of the weight pool must. */
export function unpackWeights(packed: Uint8Array, n: number, k: number, layout: WeightLayout): Int16Array {
  const out = new Int16Array(n * k);
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  if (layout === 'rows') {
    for (let i = 0; i < n * k; i++) out[i] = view.getInt8(i);
    return out;
  }
  if (layout === 'mve') {
    const groups = ceilTo(k, 16) / 16;
    for (let j = 0; j < n; j++)
      for (let i = 0; i < k; i++)
        out[j * k + i] = view.getInt8((((j >> 2) * groups + (i >> 4)) * 4 + (j & 3)) * 16 + (i & 15));
    return out;
  }
  const k4 = ceilTo(k, 4);
  for (let j = 0; j < n; j++)
    for (let i = 0; i < k; i++) {
      const lane = j & 3;
      const word =
        layout === 'scalar'
          ? (j >> 2) * k4 + i
          : ((j >> 2) * (k4 >> 2) + (i >> 2)) * 4 + 2 * (i & 1) + (lane >> 1);
      const half = layout === 'scalar' ? lane >> 1 : (i >> 1) & 1;
      const both = view.getInt16(4 * word + 2 * half, true);
      const low = (both << 24) >> 24;
      out[j * k + i] = lane & 1 ? (both - low) >> 8 : low;
    }
  return out;
}
