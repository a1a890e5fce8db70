import type { FrontRow, Objective } from './wire.js';

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

/**
 * A metric as people read it: without the device where all is one device's, with the unit of what an emulated board counts,
 * and telling the int8 network's accuracy from the float one's where there are both.
 */
export function labelOf(metric: string, rows: readonly FrontRow[], device?: string): string {
  const [name = metric, at] = metric.split('@');
  const where = at === undefined || at === device ? '' : ` on ${at}`;
  const emulated = rows.length > 0 && rows.every(({ provenance }) => provenance === 'emulated');
  if (name === 'cycles' && emulated) return `cycles (modelled)${where}`;
  if (name === 'floatAccuracy') return 'float accuracy';
  if (name !== 'accuracy') return name + where;
  const known = new Set(rows.flatMap(({ values }) => Object.keys(values)));
  if (at !== undefined || known.has('floatAccuracy')) return `int8 accuracy${where}`;
  return [...known].some((other) => other.startsWith('accuracy@')) ? 'float accuracy' : 'accuracy';
}
