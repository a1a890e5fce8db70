import type { Architecture } from '../../../core/architecture.js';
import type { Space } from '../../spaces/contract.js';

/** Dense one-hot vectors of a space of index vectors. */
export class OneHot {
  readonly sizes: readonly number[];
  readonly offsets: readonly number[];
  readonly length: number;

  constructor(space: Space) {
    this.sizes = (space.dims ?? []).map((dim) => dim.choices.length);
    let at = 0;
    this.offsets = this.sizes.map((size) => {
      at += size;
      return at - size;
    });
    this.length = at;
  }

  encode(architecture: Architecture): Float64Array {
    const x = new Float64Array(this.length);
    (architecture as readonly number[]).forEach((index, i) => {
      x[(this.offsets[i] as number) + index] = 1;
    });
    return x;
  }
}
