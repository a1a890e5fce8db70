import { HildaError } from '../../core/errors.js';
import { elementCount } from '../../network/graph.js';
import type { WeightSource } from '../../search/spaces/contract.js';
import type { NamedTensor } from './safetensors.js';

/**
 * Where a sub-network's tensor lies in the super-network's: the leading part of every axis, except that the two
 * spatial axes of a convolution kernel are cropped around their centre (Once-for-all, Cai et al. 2020, section 3.3,
 * without the transformation matrices).
 */
function cutOffsets(full: readonly number[], part: readonly number[]): number[] {
  return full.map((size, axis) =>
    full.length === 4 && axis >= 2 ? (size - (part[axis] as number)) >> 1 : 0,
  );
}

/** Calls back with (index in the full tensor, index in the part) for each run of `length` consecutive elements. */
function eachRun(
  full: readonly number[],
  part: readonly number[],
  visit: (fullAt: number, partAt: number, length: number) => void,
): void {
  const rank = full.length;
  const offsets = cutOffsets(full, part);
  const length = rank === 0 ? 1 : (part[rank - 1] as number);
  const rows = elementCount(part) / length;
  const index = new Array<number>(Math.max(0, rank - 1)).fill(0);
  for (let row = 0; row < rows; row++) {
    let at = 0;
    for (let axis = 0; axis < rank; axis++)
      at =
        at * (full[axis] as number) +
        (offsets[axis] as number) +
        (axis < rank - 1 ? (index[axis] as number) : 0);
    visit(at, row * length, length);
    for (let axis = rank - 2; axis >= 0; axis--) {
      index[axis] = (index[axis] as number) + 1;
      if ((index[axis] as number) < (part[axis] as number)) break;
      index[axis] = 0;
    }
  }
}

/** Copies a sub-network's part out of a full tensor. */
export function cut(full: NamedTensor, part: readonly number[]): Float32Array {
  const out = new Float32Array(elementCount(part));
  eachRun(full.dims, part, (fullAt, partAt, length) =>
    out.set(full.data.subarray(fullAt, fullAt + length), partAt),
  );
  return out;
}

/** The adjoint of `cut`: adds a part's gradient to the full tensor's. */
export function addCut(full: NamedTensor, part: readonly number[], gradient: Float32Array): void {
  eachRun(full.dims, part, (fullAt, partAt, length) => {
    for (let i = 0; i < length; i++)
      full.data[fullAt + i] = (full.data[fullAt + i] as number) + (gradient[partAt + i] as number);
  });
}

/** Weights of all architectures of a space at once. */
export class SharedWeights implements WeightSource {
  constructor(readonly tensors: ReadonlyMap<string, NamedTensor>) {}

  /** Throws SUPERNET_INVALID when the super-network has no such tensor or a smaller one. */
  tensor(name: string, dims: readonly number[]): Float32Array {
    const full = this.tensors.get(name);
    if (!full) throw new HildaError('SUPERNET_INVALID', `the super-network has no tensor ${name}`);
    if (full.dims.length !== dims.length || dims.some((size, axis) => size > (full.dims[axis] as number))) {
      throw new HildaError(
        'SUPERNET_INVALID',
        `the super-network's ${name} is [${full.dims}], the architecture needs [${dims}]`,
      );
    }
    return cut(full, dims);
  }
}
