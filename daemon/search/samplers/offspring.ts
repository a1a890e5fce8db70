import type { Architecture } from '../../core/architecture.js';
import { type Rng, randomInt } from '../../core/rng.js';
import type { Space } from '../spaces/contract.js';

/** Two parents' decisions mixed by fair coins (uniform crossover), or the first parent where the space allows none. */
export function cross(space: Space, a: Architecture, b: Architecture, rng: Rng): Architecture {
  if (space.crossover) return space.crossover(a, b, rng);
  if (!space.dims || !Array.isArray(a) || !Array.isArray(b)) return a;
  const [x, y] = [a as readonly number[], b as readonly number[]];
  return space.normalise(x.map((choice, i) => (rng.next() < 0.5 ? choice : (y[i] as number))));
}

/**
 * One child of a population that is sorted from best to worst: two binary tournaments, crossover with the given
 * probability, then mutation (Deb et al. 2002, section III-C).
 */
export function breed(
  space: Space,
  population: readonly Architecture[],
  rng: Rng,
  crossoverProbability: number,
): Architecture {
  const winner = (): Architecture => {
    const index = Math.min(randomInt(rng, population.length), randomInt(rng, population.length));
    return population[index] as Architecture;
  };
  const first = winner();
  const child = rng.next() < crossoverProbability ? cross(space, first, winner(), rng) : first;
  return space.mutate(child, rng);
}
