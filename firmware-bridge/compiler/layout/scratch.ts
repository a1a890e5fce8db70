import type { Operator, Window } from '../lower/operators.js';
import { ceilTo, type WeightLayout } from './format.js';
import { layoutFor } from './pack-weights.js';

/** Bytes of arena an operator needs beside its operands, exactly what its kernel writes (ABI.md, "Scratch bytes"). */
export function scratchBytes({ body, write }: Operator, layout: WeightLayout): number {
  switch (body.kind) {
    case 'linear':
      return expandedBytes(body.constants.depth, layoutFor(body.constants, layout), write.rows);
    case 'conv': {
      const { depth } = body.constants;
      const own = layoutFor(body.constants, layout);
      const rows = body.window.outWidth;
      const expanded = expandedBytes(depth, own, rows);
      if (isPointwise(body.window)) return expanded;
      const gatheredStride = ceilTo(depth, own === 'mve' ? 16 : 4);
      return expanded + gatheredStride * (blockRows(own, rows) - 1) + depth;
    }
    case 'depthwise':
      return body.constants.outputs;
    case 'matmul':
      if (layout === 'mve') return 0;
      // Layout 0 is compiled for any core: the most that one needs.
      if (layout === 'scalar') return 2 * body.depth;
      return 2 * ceilTo(body.depth, 4) * blockRows('dsp', write.rows);
    default:
      return 0;
  }
}

/** Rows of the largest block: kernels of cores with SIMD take two at a time. */
function blockRows(layout: WeightLayout, rows: number): number {
  return Math.min(rows, layout === 'dsp' || layout === 'mve' ? 2 : 1);
}

/** A block's rows as 16-bit values. */
function expandedBytes(depth: number, layout: WeightLayout, rows: number): number {
  if (layout === 'rows' || layout === 'mve') return 0;
  return 2 * ceilTo(depth, 4) * blockRows(layout, rows);
}

/** Whether each output pixel is one input pixel, which the kernel then reads in place. */
function isPointwise(window: Window): boolean {
  const { kernel, stride, padTop, padLeft, inHeight, inWidth, outHeight, outWidth } = window;
  return (
    kernel[0] * kernel[1] === 1 &&
    padTop === 0 &&
    padLeft === 0 &&
    (outHeight - 1) * stride[0] < inHeight &&
    (outWidth - 1) * stride[1] < inWidth
  );
}
