import type { Operator } from '../lower/operators.js';
import { ceilTo, type WeightLayout } from './format.js';

/** Bytes of arena an operator needs beside its operands (ABI.md, "Scratch bytes"). */
export function scratchBytes({ body }: Operator, layout: WeightLayout): number {
  switch (body.kind) {
    case 'linear': {
      const k4 = ceilTo(body.constants.depth, 4);
      return layout === 'scalar' ? 2 * k4 : layout === 'dsp' ? 4 * k4 : 0;
    }
    case 'conv': {
      const k4 = ceilTo(body.constants.depth, 4);
      return { rows: k4, scalar: 3 * k4, dsp: 6 * k4, mve: 2 * ceilTo(body.constants.depth, 16) }[layout];
    }
    case 'depthwise':
      return ceilTo(body.constants.outputs, 16);
    case 'matmul':
      return 4 * ceilTo(body.depth, 4);
    default:
      return 0;
  }
}
