import type { Objective } from './wire.js';

export const objectivesOf = (spec: unknown): readonly Objective[] =>
  (spec as { readonly objectives?: readonly Objective[] } | null)?.objectives ?? [];

/** Costs to the right, quality upwards, as the field draws its fronts; undefined for a single objective. */
export function axesOf(
  objectives: readonly Objective[],
): { readonly x: string; readonly y: string } | undefined {
  const x = objectives.find(({ goal }) => goal === 'min') ?? objectives[0];
  const y =
    objectives.find((objective) => objective.goal === 'max' && objective !== x) ??
    objectives.find((objective) => objective !== x);
  return x && y ? { x: x.metric, y: y.metric } : undefined;
}
