/** Permutations as ONNX's Transpose has them: axis i of the result is axis `perm[i]` of what is transposed. */
export type Permutation = readonly number[];

/** One Transpose behind another. */
export const compose = (first: Permutation, second: Permutation): number[] =>
  second.map((axis) => first[axis] as number);

export const inverse = (perm: Permutation): number[] => {
  const back = Array<number>(perm.length);
  perm.forEach((axis, i) => {
    back[axis] = i;
  });
  return back;
};

export const isIdentity = (perm: Permutation): boolean => perm.every((axis, i) => axis === i);

export const permuted = (dims: readonly number[], perm: Permutation): number[] =>
  perm.map((axis) => dims[axis] as number);

/** Whether axes longer than 1 keep their order, so that no element moves. */
export function movesNothing(dims: readonly number[], perm: Permutation): boolean {
  const long = perm.filter((axis) => dims[axis] !== 1);
  return long.every((axis, i) => i === 0 || axis > (long[i - 1] as number));
}

/** The elements of a dense array in another order of its axes. */
export function permuteElements(
  data: Uint8Array,
  width: number,
  dims: readonly number[],
  perm: Permutation,
): Uint8Array {
  const target = permuted(dims, perm);
  const strides = dims.map((_, i) => dims.slice(i + 1).reduce((a, b) => a * b, 1));
  const steps = perm.map((axis) => (strides[axis] as number) * width);
  const out = new Uint8Array(data.length);
  const at = target.map(() => 0);
  let from = 0;
  for (let to = 0; to < out.length; to += width) {
    for (let b = 0; b < width; b++) out[to + b] = data[from + b] as number;
    for (let axis = target.length - 1; axis >= 0; axis--) {
      from += steps[axis] as number;
      at[axis] = (at[axis] as number) + 1;
      if ((at[axis] as number) < (target[axis] as number)) break;
      from -= (steps[axis] as number) * (target[axis] as number);
      at[axis] = 0;
    }
  }
  return out;
}
