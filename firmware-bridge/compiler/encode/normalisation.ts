import { HildaError } from '../../../daemon/core/errors.js';
import type { Body } from '../lower/operators.js';

/** E[d] = round(65535 exp(-d scale)), d the distance from the row's largest element. */
export const softmaxTable = (scale: number): Uint16Array =>
  Uint16Array.from({ length: 256 }, (_, d) => Math.round(65535 * Math.exp(-d * scale)));

/**
 * The integers of LAYER_NORM: the largest fraction f at which nothing overflows. A normalised element is at most sqrt n,
 * so |sum| <= (sqrt n |gamma| + |beta|) / scaleOut + 256, in steps of 2^-f.
 */
export function layerNormConstants(
  name: string,
  { x, y, scale, shift: shifts, epsilon }: Extract<Body, { kind: 'layerNorm' }>,
): {
  readonly shift: number;
  readonly multiplier: number;
  readonly gamma: Int32Array;
  readonly beta: Int32Array;
} {
  const n = scale.length;
  const real = (values: Float32Array): number =>
    values.reduce((a, v) => Math.max(a, Math.abs(v)), 0) / y.scale;
  const reach = Math.sqrt(n) * real(scale) + real(shifts) + 256;
  for (let f = 22; f >= 1; f--) {
    if (reach * 2 ** f >= 2 ** 31 || real(scale) * 2 ** (f + 8) >= 2 ** 31) continue;
    return {
      shift: f,
      multiplier: Math.min(2 ** 32 - 1, Math.round((n * n * epsilon) / x.scale ** 2)),
      gamma: Int32Array.from(scale, (g) => Math.round((g / y.scale) * 2 ** (f + 8))),
      beta: Int32Array.from(
        shifts,
        (b) => Math.round((b / y.scale) * 2 ** f) + y.zeroPoint * 2 ** f + 2 ** (f - 1),
      ),
    };
  }
  throw new HildaError('QUANTISATION_FAILED', `${name}: its scale is too large for its output`, {
    details: { name, largest: real(scale) },
  });
}
