import { type Rng, randomInt } from '../../daemon/core/rng.js';
import { type WeightLayout, weightLayouts } from '../../firmware-bridge/compiler/layout/format.js';
import { packedBytes, packWeights } from '../../firmware-bridge/compiler/layout/pack-weights.js';
import type { Layer, Quant } from './arithmetic.js';
import type { CaseBuilder } from './program-case.js';

export const between = (rng: Rng, low: number, high: number): number => low + randomInt(rng, high - low + 1);
export const pick = <T>(rng: Rng, items: readonly T[]): T => items[randomInt(rng, items.length)] as T;
export const chance = (rng: Rng, p: number): boolean => rng.next() < p;

export const bytes = (rng: Rng, length: number, low = -128, high = 127): Int8Array =>
  Int8Array.from({ length }, () => between(rng, low, high));

export const rowsOf = (rng: Rng, rows: number, width: number): Int8Array[] =>
  Array.from({ length: rows }, () =>
    chance(rng, 0.05) ? new Int8Array(width).fill(-128) : bytes(rng, width),
  );

/** Mostly the full range; sometimes what a ReLU6 or an odd clamp leaves. */
export function randomQuant(rng: Rng, shift = 0): Quant {
  if (chance(rng, 0.7)) return { zeroOut: between(rng, -128, 127), low: -128, high: 127, shift };
  const low = between(rng, -128, 100);
  return { zeroOut: between(rng, -128, 127), low, high: between(rng, low, 127), shift };
}

/** Weights at the ends of their range now and then; multipliers that spread sums of depth k over the int8 range. */
export function randomLayer(rng: Rng, n: number, k: number): Layer {
  const shift = chance(rng, 0.2) ? between(rng, 1, 4) : 0;
  const weights = bytes(rng, n * k, -127, 127);
  for (let j = 0; j < n; j++) if (chance(rng, 0.1)) weights.fill(pick(rng, [127, -127]), j * k, (j + 1) * k);
  const typical = 5000 * Math.sqrt(k) * 2 ** shift;
  const multipliers = Int32Array.from({ length: n }, () =>
    Math.min(2 ** 31 - 1, Math.round((2 ** 32 * 60 * (0.5 + rng.next())) / typical)),
  );
  return {
    k,
    n,
    weights,
    bias: Int32Array.from({ length: n }, () => between(rng, -20000, 20000)),
    multipliers,
    ...randomQuant(rng, shift),
  };
}

export const quantFields = ({ zeroOut, low, high, shift }: Quant): Quant => ({ zeroOut, low, high, shift });

const ceilTo = (value: number, multiple: number): number => Math.ceil(value / multiple) * multiple;

/**
 * Scratch of LINEAR, or of CONV2D with its gathered taps, where at most `rows` rows are taken at a time (ABI.md, "Scratch
 * bytes"): not a byte more, so that a kernel which writes beyond it is found out.
 */
function matrixScratch(layout: WeightLayout, k: number, gathers: boolean, rows: number): number {
  const block = layout === 'dsp' || layout === 'mve' ? Math.min(rows, 2) : 1;
  const expanded = layout === 'rows' || layout === 'mve' ? 0 : 2 * ceilTo(k, 4) * block;
  return gathers ? expanded + ceilTo(k, layout === 'mve' ? 16 : 4) * (block - 1) + k : expanded;
}

/** The same for MATMUL. */
export function productScratch(native: WeightLayout, k: number, rows: number): number {
  if (native === 'mve') return 0;
  return native === 'dsp' ? 2 * ceilTo(k, 4) * Math.min(rows, 2) : 2 * k;
}

export function matrixFields(
  builder: CaseBuilder,
  layer: Layer,
  layout: WeightLayout,
  gathers: boolean,
  rows = 2,
) {
  const packed = packWeights(layer.weights, layer.n, layer.k, layout);
  if (packed.length !== packedBytes(layer.n, layer.k, layout)) throw new Error('packed size');
  const scratch = builder.scratch(matrixScratch(layout, layer.k, gathers, rows));
  return {
    layout: weightLayouts.indexOf(layout),
    ...quantFields(layer),
    weights: builder.constant(packed),
    bias: builder.padded(layer.bias, 4),
    multipliers: builder.padded(layer.multipliers, 4),
    ...(scratch !== undefined && { scratch }),
  };
}
