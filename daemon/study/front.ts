import { hypervolume } from '../search/pareto/hypervolume.js';
import type { Objective } from '../search/samplers/contract.js';
import type { TrialRecord } from '../store/contract.js';
import { isWhole, type StudySpec } from './spec.js';

/** A trial's objectives, all to be minimised; undefined unless it is complete and has them all. */
function costs(trial: TrialRecord, objectives: readonly Objective[]): number[] | undefined {
  if (trial.state !== 'complete') return undefined;
  const values = objectives.map(
    ({ metric, goal }) => (goal === 'min' ? 1 : -1) * (trial.values[metric] ?? Number.NaN),
  );
  return values.some(Number.isNaN) ? undefined : values;
}

const dominates = (a: readonly number[], b: readonly number[]): boolean =>
  a.every((value, i) => value <= (b[i] as number)) && a.some((value, i) => value < (b[i] as number));

/** The front of all devices together: a trial that one of them was missing from has no place in it. */
export const jointFront = (trials: readonly TrialRecord[], spec: StudySpec): TrialRecord[] =>
  frontTrials(wholeTrials(trials, spec), spec.objectives);

const wholeTrials = (trials: readonly TrialRecord[], spec: StudySpec): TrialRecord[] =>
  trials.filter(({ values }) => isWhole(values, spec));

/** The complete trials that no other complete trial dominates, best first in the first objective. */
export function frontTrials(trials: readonly TrialRecord[], objectives: readonly Objective[]): TrialRecord[] {
  const scored = trials.flatMap((trial) => {
    const cost = costs(trial, objectives);
    return cost ? [{ trial, cost }] : [];
  });
  return scored
    .filter(({ cost }) => !scored.some((other) => dominates(other.cost, cost)))
    .sort((a, b) => (a.cost[0] as number) - (b.cost[0] as number))
    .map(({ trial }) => trial);
}

/**
 * Share, 0 to 1, of the box between the reference and the ideal point that the front dominates. The reference is the
 * worst value of each objective among the whole trials of the first batch, so it moves only where one of them is caught up
 * later, and the share only grows before that; the ideal is 0 for what is minimised and 1 for what is maximised (accuracies are shares of 1).
 */
export function hypervolumeShare(all: readonly TrialRecord[], spec: StudySpec): number {
  const trials = wholeTrials(all, spec);
  const points = trials.flatMap((trial) => {
    const cost = costs(trial, spec.objectives);
    return cost ? [cost] : [];
  });
  if (points.length === 0 || spec.objectives.length < 2) return 0;
  const first = trials
    .filter((t) => t.number < spec.batch)
    .flatMap((t) => [costs(t, spec.objectives)].filter((c) => c !== undefined));
  const basis = first.length > 0 ? first : points.slice(0, 1);
  const reference = spec.objectives.map((_, i) => Math.max(...basis.map((cost) => cost[i] as number)));
  const ideal = spec.objectives.map(({ goal }) => (goal === 'min' ? 0 : -1));
  const box = reference.reduce((product, value, i) => product * (value - (ideal[i] as number)), 1);
  return box > 0 ? hypervolume(points, reference) / box : 0;
}
