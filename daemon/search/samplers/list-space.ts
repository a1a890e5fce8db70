import type { Architecture } from '../../core/architecture.js';
import { canonicalJson, type Json } from '../../core/json.js';
import type { Space } from '../spaces/contract.js';

/** Above this many raw index vectors a space is never listed: random draws and mutations must do. */
const listableVectors = 200_000;

const vectorCount = (space: Space): number =>
  space.dims?.reduce((product, dim) => product * dim.choices.length, 1) ?? Number.POSITIVE_INFINITY;

export const isListable = (space: Space): boolean => vectorCount(space) <= listableVectors;

const lists = new WeakMap<Space, readonly Architecture[]>();

/** Every normal form of a listable space, in lexical order of the index vectors that lead to it first. */
export function listArchitectures(space: Space): readonly Architecture[] {
  const known = lists.get(space);
  if (known) return known;
  const dims = space.dims ?? [];
  const found = new Map<string, Architecture>();
  const vector = dims.map(() => 0);
  for (let count = vectorCount(space); count > 0; count--) {
    const normal = normalForm(space, [...vector]);
    if (normal !== undefined) found.set(canonicalJson(normal as Json), normal);
    for (let d = dims.length - 1; d >= 0; d--) {
      vector[d] = ((vector[d] as number) + 1) % (dims[d]?.choices.length ?? 1);
      if (vector[d] !== 0) break;
    }
  }
  const list = [...found.values()];
  lists.set(space, list);
  return list;
}

function normalForm(space: Space, vector: readonly number[]): Architecture | undefined {
  try {
    return space.normalise(vector);
  } catch {
    return undefined; // Some spaces exclude index vectors, e.g. cells without a path to the output.
  }
}
