import type { ExecutedOperator } from './operator-parts.js';

/**
 * The same operators without what profiling adds: a time stamp costs every operator alike, whatever it computes, so that a
 * network of many small operators looks dearer in its profile than it is. What the profile's sum exceeds the whole network by,
 * measured without profiling, is taken off in equal parts, off none more than it has; what it falls short by (calls between
 * operators) is added in equal parts. The costs then add up to `whole`, in its unit.
 */
export function withoutProfiling(operators: readonly ExecutedOperator[], whole: number): ExecutedOperator[] {
  const ascending = operators.map(({ cost }) => cost).sort((a, b) => a - b);
  let surplus = ascending.reduce((sum, cost) => sum + cost, 0) - whole;
  let share = 0;
  // Operators that have less than their part give all they have, and the others share the rest.
  for (const [i, cost] of ascending.entries()) {
    share = surplus / (ascending.length - i);
    if (cost >= share) break;
    surplus -= cost;
  }
  return operators.map((operator) => ({ ...operator, cost: Math.max(0, operator.cost - share) }));
}
