import type { Architecture } from '../../core/architecture.js';
import { type Rating, selectionOrder } from '../pareto/dominance.js';
import type { AskContext, Prediction, Trial } from './contract.js';
import { costsOf, excess } from './rating.js';

/** An architecture as predictions see it. Limits are read at the lower end of an interval: only what surely breaks one violates it. */
export interface Candidate extends Rating {
  readonly architecture: Architecture;
  /** By how much each objective may be better than predicted: to the better end of its 90 % interval. */
  readonly hopes: readonly number[];
  /** Width of the objectives' intervals, relative to the spread of the measured values. */
  readonly uncertainty: number;
}

/** Predicted ratings; undefined while a metric has too few measurements. `spreads`: of the objectives' measured values. */
export function ratePredicted(
  architectures: readonly Architecture[],
  { predict, objectives, constraints }: AskContext,
  spreads: readonly number[],
): Candidate[] | undefined {
  if (!predict) return undefined;
  if (architectures.length === 0) return [];
  const metrics = [...new Set([...objectives, ...constraints].map(({ metric }) => metric))];
  const answers = new Map<string, readonly Prediction[]>();
  for (const metric of metrics) {
    const predictions = predict(metric, architectures);
    if (!predictions) return undefined;
    answers.set(metric, predictions);
  }
  return architectures.map((architecture, i) => {
    const at = (metric: string): Prediction => answers.get(metric)?.[i] as Prediction;
    const means = Object.fromEntries(metrics.map((metric) => [metric, at(metric).mean]));
    const lows = Object.fromEntries(metrics.map((metric) => [metric, at(metric).low]));
    const widths = objectives.map(
      ({ metric }, o) => (at(metric).high - at(metric).low) / (spreads[o] as number),
    );
    return {
      architecture,
      costs: costsOf(means, objectives),
      violation: excess(lows, constraints),
      // An accuracy that may be far worse than predicted, yet hardly better, is no hope.
      hopes: objectives.map(({ metric, goal }) =>
        goal === 'max' ? at(metric).high - at(metric).mean : at(metric).mean - at(metric).low,
      ),
      uncertainty: widths.reduce((sum, width) => sum + width, 0),
    };
  });
}

/** The best of a list, by rank and crowding; long lists are thinned in blocks, since ranking is quadratic. */
export function survivors(candidates: readonly Candidate[], size: number): Candidate[] {
  const block = 2 * size;
  let kept: readonly Candidate[] = candidates.slice(0, block);
  for (let start = block; ; start += size) {
    const ranked = kept;
    if (ranked.length > size)
      kept = selectionOrder(ranked)
        .slice(0, size)
        .map((i) => ranked[i] as Candidate);
    if (start >= candidates.length) return [...kept];
    kept = [...kept, ...candidates.slice(start, start + size)];
  }
}

/** Largest minus smallest measured value, never 0. */
export function spread(history: readonly Trial[], metric: string): number {
  const values = history.flatMap(({ values: v }) => (v[metric] === undefined ? [] : [v[metric]]));
  return Math.max(1e-12, Math.max(...values) - Math.min(...values));
}
