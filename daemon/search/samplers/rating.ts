import type { Rating } from '../pareto/dominance.js';
import type { Constraint, Objective, Trial } from './contract.js';

/** Objectives as costs to minimise. A missing value costs Infinity. */
export function costsOf(
  values: Readonly<Record<string, number>>,
  objectives: readonly Objective[],
): number[] {
  return objectives.map(({ metric, goal }) => {
    const value = values[metric];
    if (value === undefined || !Number.isFinite(value)) return Number.POSITIVE_INFINITY;
    return goal === 'min' ? value : -value;
  });
}

/** Sum of relative excesses over the limits; metrics without a value add nothing. */
export function excess(values: Readonly<Record<string, number>>, constraints: readonly Constraint[]): number {
  return constraints.reduce((sum, { metric, max }) => {
    const value = values[metric];
    return value === undefined || value <= max ? sum : sum + (value - max) / Math.max(Math.abs(max), 1e-12);
  }, 0);
}

/** A told trial for constrained selection: one that is not complete always ranks behind every complete one. */
export function rateTrial(
  trial: Trial,
  objectives: readonly Objective[],
  constraints: readonly Constraint[],
): Rating {
  const broken = excess(trial.values, constraints);
  const costs = costsOf(trial.values, objectives);
  if (trial.state === 'complete' && costs.every(Number.isFinite)) return { costs, violation: broken };
  if (trial.state === 'infeasible' && broken > 0) return { costs, violation: broken };
  return { costs, violation: Number.POSITIVE_INFINITY };
}
