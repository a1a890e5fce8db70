import type { AnswersOf } from '../core/evidence.js';
import { differenceInterval, type Estimate, type Interval, isApart } from '../core/intervals.js';
import { scoredAnswers } from '../evaluate/evidence.js';
import { accuracyDifference } from '../predict/proportions.js';
import { floatAccuracy } from './spec.js';

/** A network's value of one metric beside another network's. */
export interface Beside {
  /** The other one. */
  readonly trialNumber: number;
  readonly metric: string;
  /** This one's value less the other's, in the metric's unit. */
  readonly difference: number;
  /** Its 95 % interval. */
  readonly ci: Interval;
  /** `paired`: image by image. `independent`: from the two intervals, which is wide where the images are the same. */
  readonly basis: 'paired' | 'independent';
  /** False where the difference may as well be nothing, or of the other sign. */
  readonly apart: boolean;
}

/** What is compared: a trial's values, their intervals by metric, and its answers. */
export interface Comparable {
  readonly trialNumber: number;
  readonly values: Readonly<Record<string, number>>;
  readonly intervals: Readonly<Record<string, Interval | undefined>>;
  readonly answers: AnswersOf;
}

/** Undefined where a value or an interval of either is not known, and image by image is not known either. */
export function beside(a: Comparable, b: Comparable, metric: string): Beside | undefined {
  const paired = pairedDifference(a.answers, b.answers, metric);
  const found = paired ?? independentDifference(estimateOf(a, metric), estimateOf(b, metric));
  if (!found) return undefined;
  const basis = paired ? 'paired' : 'independent';
  return { trialNumber: b.trialNumber, metric, ...found, basis, apart: isApart(found.ci) };
}

function estimateOf({ values, intervals }: Comparable, metric: string): Estimate | undefined {
  const [value, ci] = [values[metric], intervals[metric]];
  return value === undefined || !ci ? undefined : { value, ci };
}

function independentDifference(
  a: Estimate | undefined,
  b: Estimate | undefined,
): { readonly difference: number; readonly ci: Interval } | undefined {
  return a && b && { difference: a.value - b.value, ci: differenceInterval(a, b) };
}

/** Undefined unless both were answered for image by image, on the same images. */
function pairedDifference(
  a: AnswersOf,
  b: AnswersOf,
  metric: string,
): { readonly difference: number; readonly ci: Interval } | undefined {
  const of = (answers: AnswersOf, name: string) => (Object.hasOwn(answers, name) ? answers[name] : undefined);
  const [floatA, floatB] = [of(a, floatAccuracy), of(b, floatAccuracy)];
  if (!/^(accuracy|floatAccuracy)(@|$)/.test(metric) || !floatA || floatA.set !== floatB?.set)
    return undefined;
  const own = (answers: AnswersOf) => (metric === floatAccuracy ? undefined : of(answers, metric));
  const [ownA, ownB] = [own(a), own(b)];
  // Two device networks that saw different numbers of images, e.g. since the specification was another one.
  if (ownA && ownB && ownA.right.length !== ownB.right.length) return undefined;
  const { value, ci } = accuracyDifference(scoredAnswers(floatA, ownA), scoredAnswers(floatB, ownB));
  return { difference: value, ci };
}

/**
 * Each member of a front beside the ones before and after it, by every one of these metrics that has intervals. Where it is not
 * apart from its neighbour in one metric, it may not be worth what it costs in the others.
 */
export const besideNeighbours = (
  members: readonly Comparable[],
  metrics: readonly string[],
): readonly (readonly Beside[])[] =>
  members.map((member, i) =>
    [members[i - 1], members[i + 1]].flatMap((other) =>
      other ? metrics.flatMap((metric) => beside(member, other, metric) ?? []) : [],
    ),
  );
