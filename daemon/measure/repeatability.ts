import { z } from 'zod';
import type { Target } from '../core/target.js';
import { studentTwoSided } from './student.js';

/**
 * What a target's repeats tell of the variance between sessions: the second level of Kalibera and Jones (2013,
 * "Rigorous benchmarking in reasonable time"). Values are logarithms of normalised latencies, so 0.01 is 1 %.
 */
export const repeatabilitySchema = z.strictObject({
  /** Degrees of freedom: one for each repeat of a network. */
  freedom: z.number().nonnegative(),
  /** Squared deviations of repeats from what was known of their network; each expects both variances. */
  sumSquares: z.number().nonnegative(),
  /** The part of `sumSquares` that the spread within the sessions explains. */
  sumWithin: z.number().nonnegative(),
  sinceMs: z.number().nonnegative(),
  updatedMs: z.number().nonnegative(),
});
export type Repeatability = z.infer<typeof repeatabilitySchema>;

/**
 * The logarithm of one network's normalised latency, over one session or the mean of several, and the standard error within
 * a session.
 */
export interface SessionValue {
  readonly logUs: number;
  readonly within: number;
  readonly sessions: number;
}

/** Older repeats fade beyond this, so that a machine that becomes steadier is believed within a few hundred repeats. */
const mostFreedom = 400;

/** Takes another measurement of a network in, given earlier ones of it. Without an earlier one nothing changes. */
export function learnRepeat(
  known: Repeatability | null,
  earlier: readonly SessionValue[],
  taken: SessionValue,
  nowMs: number,
): Repeatability | null {
  const all = earlier.reduce((sum, { sessions }) => sum + sessions, 0);
  if (all === 0) return known;
  const average = (of: (value: SessionValue) => number): number =>
    earlier.reduce((sum, value) => sum + value.sessions * of(value), 0) / all;
  const mean = average(({ logUs }) => logUs);
  // The squared distance of two means, scaled so that it expects the variance of one session.
  const scale = 1 / taken.sessions + 1 / all;
  const square = (taken.logUs - mean) ** 2 / scale;
  const within = (taken.within ** 2 / taken.sessions + average((value) => value.within ** 2) / all) / scale;
  if (!Number.isFinite(square) || !Number.isFinite(within)) return known;
  const before = known ?? { freedom: 0, sumSquares: 0, sumWithin: 0, sinceMs: nowMs };
  const fade = before.freedom >= mostFreedom ? (mostFreedom - 1) / before.freedom : 1;
  return {
    freedom: before.freedom * fade + 1,
    sumSquares: before.sumSquares * fade + square,
    sumWithin: before.sumWithin * fade + within,
    sinceMs: before.sinceMs,
    updatedMs: nowMs,
  };
}

/** The variance between sessions of a target, with what it rests on. */
export interface Between {
  readonly variance: number;
  readonly freedom: number;
  readonly repeats: number;
}

/** A prior counts as this many repeats: enough for an honest interval before the first one, gone after a few dozen. */
const priorFreedom = 4;

/**
 * Before any repeat: 1.2 % from session to session on operating systems, as measured on shared virtual machines; 0.2 % on
 * boards, which run nothing else and where only clock, cache state and placement differ.
 */
const priorDeviation = ({ tier }: Pick<Target, 'tier'>): number => (tier === 'board' ? 0.002 : 0.012);

/** The prior and the repeats, weighted by their degrees of freedom (a scaled inverse chi-squared prior). */
export function betweenSessions(known: Repeatability | null, target: Pick<Target, 'tier'>): Between {
  const { freedom, sumSquares, sumWithin } = known ?? { freedom: 0, sumSquares: 0, sumWithin: 0 };
  const own = Math.max(0, sumSquares - sumWithin);
  return {
    variance: (priorFreedom * priorDeviation(target) ** 2 + own) / (priorFreedom + freedom),
    freedom: priorFreedom + freedom,
    repeats: Math.round(freedom),
  };
}

/**
 * Half the 95 % interval, on the logarithmic scale, of the mean of `sessions` sessions: Student's t with the degrees of
 * freedom of Welch and Satterthwaite, since the variance between sessions is estimated and that within is known well.
 */
export function halfInterval(between: Between, withinVariance: number, sessions: number): number {
  const total = between.variance + withinVariance;
  if (total === 0) return 0;
  const freedom = between.variance === 0 ? 1e9 : (total / between.variance) ** 2 * between.freedom;
  return studentTwoSided(0.05, Math.max(1, freedom)) * Math.sqrt(total / sessions);
}
