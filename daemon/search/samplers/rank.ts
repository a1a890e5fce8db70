import type { Architecture } from '../../core/architecture.js';
import { selectionOrder } from '../pareto/dominance.js';
import type { AskContext, Trial } from './contract.js';
import { rateTrial } from './rating.js';

/** Told trials from best to worst: constrained rank, then crowding. */
export function bestFirst({ history, objectives, constraints }: AskContext): Trial[] {
  if (objectives.length > 1) {
    return selectionOrder(history.map((trial) => rateTrial(trial, objectives, constraints))).map(
      (i) => history[i] as Trial,
    );
  }
  // One objective needs no quadratic ranking.
  const rated = history.map((trial) => ({ trial, rating: rateTrial(trial, objectives, constraints) }));
  return rated
    .sort((a, b) => {
      if (a.rating.violation !== b.rating.violation) return a.rating.violation < b.rating.violation ? -1 : 1;
      const [x, y] = [a.rating.costs[0] as number, b.rating.costs[0] as number];
      return x === y ? a.trial.number - b.trial.number : x - y;
    })
    .map(({ trial }) => trial);
}

export const bestArchitectures = (context: AskContext, size: number): Architecture[] =>
  bestFirst(context)
    .slice(0, size)
    .map((trial) => trial.architecture);

/**
 * One number a trial, larger is better, after MnasNet's and ProxylessNAS's product (Tan et al. 2019, equation 2; Cai et
 * al. 2019, section 3.3): qualities times (reference / cost)^exponent. A limited cost refers to its limit, another to
 * the median of the first 20 complete trials. Trials that are not complete score 0.
 */
export function rewards(context: AskContext, trials: readonly Trial[], exponent: number): number[] {
  const { objectives, constraints, history } = context;
  const limits = new Map(constraints.map(({ metric, max }) => [metric, max]));
  const costs = new Set([
    ...objectives.filter(({ goal }) => goal === 'min').map(({ metric }) => metric),
    ...limits.keys(),
  ]);
  const references = new Map(
    [...costs].map((metric) => [metric, limits.get(metric) ?? medianOf(history, metric)]),
  );
  return trials.map(({ state, values }) => {
    if (state !== 'complete') return 0;
    let reward = 1;
    for (const { metric, goal } of objectives) if (goal === 'max') reward *= Math.max(0, values[metric] ?? 0);
    for (const [metric, reference] of references) {
      const value = values[metric];
      if (value !== undefined && value > 0 && reference > 0) reward *= (reference / value) ** exponent;
    }
    return reward;
  });
}

function medianOf(history: readonly Trial[], metric: string): number {
  const values = history
    .filter(({ state }) => state === 'complete')
    .slice(0, 20)
    .flatMap(({ values: v }) => (v[metric] === undefined ? [] : [v[metric]]))
    .sort((a, b) => a - b);
  return values[values.length >> 1] ?? 1;
}
