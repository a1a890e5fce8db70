import { shuffled, Xoshiro128 } from '../../core/rng.js';
import { invalid } from '../invalid.js';

export interface Split {
  /** Indices into the labels, ascending. */
  readonly train: readonly number[];
  readonly validation: readonly number[];
}

/**
 * Holds out a share of every class, rounded, at least one example and never all. `nameOf` names a class in messages.
 * Throws DATA_INVALID for a class with fewer than two examples.
 */
export function stratifiedSplit(
  labels: Uint8Array,
  share: number,
  seed: number,
  nameOf: (label: number) => string,
): Split {
  const byClass = new Map<number, number[]>();
  labels.forEach((label, i) => {
    const indices = byClass.get(label);
    if (indices) indices.push(i);
    else byClass.set(label, [i]);
  });
  const rng = Xoshiro128.fromSeed(seed);
  const held = new Set<number>();
  for (const [label, indices] of [...byClass].sort(([a], [b]) => a - b)) {
    if (indices.length < 2)
      throw invalid(`the class ${nameOf(label)} has one example; training and validation need one each`);
    const wanted = Math.round(share * indices.length);
    const taken = Math.min(indices.length - 1, Math.max(1, wanted));
    for (const index of shuffled(rng, indices).slice(0, taken)) held.add(index);
  }
  const all = Array.from(labels, (_, i) => i);
  return { train: all.filter((i) => !held.has(i)), validation: all.filter((i) => held.has(i)) };
}
