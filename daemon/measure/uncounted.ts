import { asHildaError } from '../core/errors.js';
import { countKnownCost } from '../network/cost.js';
import type { Graph } from '../network/graph.js';

const mostNamed = 20;

/** The operators of a network whose cost is not known, with the reason; each kind once. Empty where all are counted. */
export function uncountedOperators(network: Graph): { readonly op: string; readonly reason: string }[] {
  const kinds = new Map<string, string>();
  try {
    for (const { op, reason } of countKnownCost(network).uncounted) if (!kinds.has(op)) kinds.set(op, reason);
  } catch (thrown) {
    // The runtime ran what the rules do not take: a measurement is not lost over it.
    kinds.set('all', asHildaError(thrown).message);
  }
  return [...kinds].slice(0, mostNamed).map(([op, reason]) => ({ op, reason }));
}
