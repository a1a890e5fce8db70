import type { Architecture } from '../../core/architecture.js';
import type { AskContext } from './contract.js';
import { isListable, listArchitectures } from './list-space.js';
import { breed } from './offspring.js';
import { bestArchitectures } from './rank.js';

/** Generations and children of the search over a surrogate, where a space is too large to list. */
const generations = 6;
const children = 200;
const kept = 40;

/**
 * Candidates for a surrogate to choose from: the whole space where it can be listed; else random architectures and the
 * descendants of the best trials, each generation bred from those that `score` (larger is better) likes most.
 */
export function candidatePool(
  context: AskContext,
  score: (architecture: Architecture) => number,
): readonly Architecture[] {
  const { space, rng } = context;
  if (isListable(space)) return listArchitectures(space);
  const pool = Array.from({ length: children }, () => space.sample(rng));
  let parents = [...bestArchitectures(context, kept), ...pool.slice(0, kept)];
  for (let generation = 0; generation < generations; generation++) {
    const born = Array.from({ length: children }, () => breed(space, parents, rng, 0.5));
    pool.push(...born);
    const scored = [...parents, ...born].map((architecture) => ({
      architecture,
      value: score(architecture),
    }));
    parents = scored
      .sort((a, b) => b.value - a.value)
      .slice(0, kept)
      .map(({ architecture }) => architecture);
  }
  return pool;
}
