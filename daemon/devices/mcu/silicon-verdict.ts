import { shareBesideLimit } from '../../core/beside-limit.js';
import { Xoshiro128 } from '../../core/rng.js';
import type { Protocol } from '../../measure/protocol.js';
import { median, summarise } from '../../measure/statistics.js';
import type { Judgement } from '../../measure/verdict.js';
import { contradiction } from './board-costs.js';
import type { BoardProfile } from './board-profile.js';
import type { BoardProgram } from './board-program.js';
import type { BoardRun } from './board-runs.js';
import { clockOffOf } from './clock-off.js';
import type { SiliconRounds } from './silicon-rounds.js';
import { trendOf } from './silicon-trend.js';

export const siliconRules = {
  /** A board's clock does not wander: what moves more than this while it is measured is no jitter. */
  moved: 0.01,
  /** Mann-Kendall statistic from which a movement is none of chance: one in a hundred measurements passes it. */
  trendZ: 2.58,
  /** Sum of the operators against the total that the same run reported. */
  sumsApart: 0.01,
  /** The counter of an operator has 32 bits; firmware that saw it run over says so by this value. */
  counterFull: 2 ** 32 - 1,
} as const;

/**
 * Multiply-accumulates a cycle that the kernels of a weight layout cannot exceed: twice what the core's widest
 * instruction multiplies (Armv6-M, Armv7E-M and Armv8.1-M manuals): what is faster did not run.
 */
const maxMacsPerTick: Readonly<Record<BoardProfile['weightLayout'], number>> = {
  rows: 16,
  scalar: 2,
  dsp: 4,
  mve: 16,
};

export interface SiliconCase {
  readonly rounds: SiliconRounds;
  readonly protocol: Protocol;
  readonly program: BoardProgram;
  readonly weightLayout: BoardProfile['weightLayout'];
  /** Half-width of the normalised latency's interval, over the latency. */
  readonly halfWidth: number;
  /** How far the board's clock may be off, in millionths; null where it does not say. */
  readonly clockPpm: number | null;
}

/**
 * Judges rounds taken on a real board: `suspect` (figures that cannot be), `throttled` or `drifted` (slower or faster
 * towards the end, by the rounds or by the reference around them), `noisy` (too wide an interval), otherwise `valid`.
 */
export function judgeSilicon(of: SiliconCase): Judgement {
  const { rounds, protocol, halfWidth, clockPpm } = of;
  const runs = rounds.blocks.flat();
  const wrong = impossible(of);
  if (wrong) return { verdict: 'suspect', reason: `The board contradicts itself: ${wrong}.` };
  if (rounds.referenceFault !== null)
    return {
      verdict: 'suspect',
      reason: `The reference failed after ${runs.length} rounds: ${rounds.referenceFault}.`,
    };
  const moving = movement(of);
  if (moving) return moving;
  if (runs.length < protocol.minRounds)
    return { verdict: 'noisy', reason: `${runs.length} rounds, at least ${protocol.minRounds} are needed.` };
  const within = shareBesideLimit(halfWidth, protocol.ciHalfWidth, 2);
  const told = `${runs.length} rounds, within ${within.figure} (allowed ${within.limit})`;
  const clockOff = clockOffOf(clockPpm);
  if (clockOff > protocol.ciHalfWidth) {
    const off = shareBesideLimit(clockOff, protocol.ciHalfWidth, 2);
    const why = clockPpm === null ? 'its firmware does not say how exact it is' : 'its crystal did not start';
    return {
      verdict: 'noisy',
      reason: `The board's clock may be off by ${off.figure} (allowed ${off.limit}): ${why}.`,
    };
  }
  if (halfWidth > protocol.ciHalfWidth)
    return { verdict: 'noisy', reason: `${told}; more were not allowed by the protocol.` };
  return { verdict: 'valid', reason: `${told}, the arena was used as planned.` };
}

function impossible({ rounds, program, weightLayout }: SiliconCase): string | null {
  const runs = [...rounds.painted, ...rounds.blocks.flat()];
  const odd = contradiction(runs, program) ?? runs.map(oddTicks).find((found) => found !== null);
  if (odd) return odd;
  const least = Math.min(...runs.map(({ total }) => total));
  const most = maxMacsPerTick[weightLayout];
  const { macs } = program.compiled;
  if (macs / least > most)
    return `${macs} multiply-accumulates in ${least} ticks is faster than its core can be`;
  if (rounds.legs.some(({ ticks }) => ticks.some((count) => !(count > 0))))
    return 'the reference network took no time';
  return null;
}

/** What is wrong with the ticks of one run; null where nothing is. */
export function oddTicks({ operators, total, report }: BoardRun): string | null {
  const idle = operators.findIndex((ticks) => !(ticks > 0));
  if (idle >= 0) return `operator ${idle} took ${operators[idle]} ticks`;
  const full = operators.findIndex((ticks) => ticks >= siliconRules.counterFull);
  if (full >= 0) return `operator ${full} took more ticks than its counter of 32 bits holds`;
  const apart = Math.abs(report.ticks - total);
  // A tick an operator: the two are read one after the other.
  if (apart > siliconRules.sumsApart * total + operators.length)
    return `its operators add up to ${total} ticks, the run to ${report.ticks}`;
  return null;
}

function movement({ rounds, protocol }: SiliconCase): Judgement | null {
  const allowed = Math.min(siliconRules.moved, protocol.ciHalfWidth);
  const trend = trendOf(rounds.blocks.flat().map(({ total }) => total));
  if (Math.abs(trend.moved) > allowed && Math.abs(trend.z) > siliconRules.trendZ)
    return moved(trend.moved, allowed, 'The rounds of the last third took', 'those of the first');
  const [first, ...later] = rounds.legs;
  for (const leg of later) {
    const [before, after] = [first?.ticks ?? [], leg.ticks];
    const change = median(after) / median(before) - 1;
    // Legs are short: only where their values do not overlap, they differ.
    const apart = Math.min(...after) > Math.max(...before) || Math.max(...after) < Math.min(...before);
    if (Math.abs(change) > allowed && apart)
      return moved(change, allowed, 'After the rounds the reference took', 'before');
  }
  return null;
}

function moved(change: number, allowed: number, what: string, than: string): Judgement {
  const by = shareBesideLimit(Math.abs(change), allowed, 2);
  return {
    verdict: change > 0 ? 'throttled' : 'drifted',
    reason: `${what} ${by.figure} ${change > 0 ? 'longer' : 'less'} than ${than} (allowed ${by.limit}).`,
  };
}

/** Summary of one series of ticks; its interval holds what a slow movement within the rounds did. */
export function ticksSummary(values: readonly number[], seed = 1) {
  const summary = summarise(values, Xoshiro128.fromSeed(seed));
  const trend = trendOf(values);
  const moving = Math.abs(trend.z) > siliconRules.trendZ ? [trend.firstThird, trend.lastThird] : [];
  // A counter tells no more than its own step.
  const step = 0.5;
  return {
    ...summary,
    ciLow: Math.min(summary.ciLow - step, ...moving),
    ciHigh: Math.max(summary.ciHigh + step, ...moving),
  };
}
