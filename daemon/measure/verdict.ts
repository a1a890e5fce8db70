import { besideLimit, shareBesideLimit } from '../core/beside-limit.js';
import type { Verdict } from '../core/measurement.js';
import type { LatencyRun } from './measure-latency.js';
import type { Protocol } from './protocol.js';
import { median } from './statistics.js';

/** The bounds of the verdicts; a change makes measurements before and after it incomparable in validity. */
const verdictRules = {
  /** Above this share of rejected rounds others had the machine. */
  rejectedShare: 0.5,
  /**
   * The reference slowed by this factor from the first to the last third of the rounds. Virtual machines change regime
   * by up to 1.9 (measured), which the ratio cancels; what exceeds that is the machine protecting itself.
   */
  slowedWithin: 2.1,
  /** The reference runs slower than calibrated by this factor. Shared machines change regime by up to 2. */
  slowedOverall: 2.5,
  /** The ratio moved by this many allowed half-widths from the first to the second half of the rounds. */
  driftHalfWidths: 3,
  /** No core of today's machines multiplies faster; a shorter time means that the network did not run. */
  maxMacsPerUs: 2e6,
} as const;

export interface VerdictInput {
  readonly run: LatencyRun;
  readonly protocol: Protocol;
  /** Multiply-accumulates of the network, where known. */
  readonly macs: number | null;
  /** The reference's calibrated latency on this device. */
  readonly calibratedUs: number;
}

export interface Judgement {
  readonly verdict: Verdict;
  readonly reason: string;
}

/**
 * Judges a latency run. The rules are asked in this order and the first that holds speaks: `suspect` (the figures
 * cannot be), `contended` (others had the machine), `throttled` (the machine slowed down), `drifted` (the network's
 * cost relative to the reference moved), `noisy` (the interval stayed too wide), otherwise `valid`.
 */
export function judge(input: VerdictInput): Judgement {
  for (const rule of [suspect, contended, throttled, drifted, noisy]) {
    const found = rule(input);
    if (found !== null) return found;
  }
  const { run, protocol } = input;
  const within = shareBesideLimit(run.ratioHalfWidth, protocol.ciHalfWidth);
  return {
    verdict: 'valid',
    reason: `${run.kept} of ${run.rounds.length} rounds kept, ratio ${figure(run.ratio.median)} within ${within.figure} (allowed ${within.limit}).`,
  };
}

type Rule = (input: VerdictInput) => Judgement | null;

const suspect: Rule = ({ run: { rounds, rawUs }, macs }) => {
  const broken = rounds.filter(
    (r) => !(r.candidateUs > 0 && r.referenceBeforeUs > 0 && r.referenceAfterUs > 0),
  ).length;
  if (broken > 0)
    return {
      verdict: 'suspect',
      reason: `${broken} of ${rounds.length} rounds hold a time that is not positive.`,
    };
  if (rounds.length >= 8 && new Set(rounds.map((round) => round.candidateUs)).size === 1) {
    return {
      verdict: 'suspect',
      reason: `All ${rounds.length} rounds took exactly ${figure(rawUs.median)} us: the clock is too coarse.`,
    };
  }
  if (macs !== null && macs / rawUs.median > verdictRules.maxMacsPerUs) {
    return {
      verdict: 'suspect',
      reason: `${macs} multiply-accumulates in ${figure(rawUs.median)} us is faster than a processor can be.`,
    };
  }
  return null;
};

const contended: Rule = ({ run: { kept, rounds, stoppedBy }, protocol }) => {
  const rejected = rounds.length - kept;
  if (rejected / rounds.length > verdictRules.rejectedShare) {
    return {
      verdict: 'contended',
      reason: `${rejected} of ${rounds.length} rounds rejected: their references disagreed or other work took the machine (allowed ${percent(verdictRules.rejectedShare)}).`,
    };
  }
  if (rejected > 0 && stoppedBy !== 'interval' && kept < protocol.minRounds) {
    return {
      verdict: 'contended',
      reason: `Only ${kept} rounds kept of ${rounds.length}, at least ${protocol.minRounds} needed.`,
    };
  }
  return null;
};

const throttled: Rule = ({ run: { keptReferencesUs: references, referenceUs }, calibratedUs }) => {
  const third = Math.floor(references.length / 3);
  const slowdown = third >= 2 ? median(references.slice(-third)) / median(references.slice(0, third)) : 1;
  if (slowdown > verdictRules.slowedWithin) {
    const by = shareBesideLimit(slowdown - 1, verdictRules.slowedWithin - 1);
    return {
      verdict: 'throttled',
      reason: `The reference slowed by ${by.figure} during the measurement (allowed ${by.limit}).`,
    };
  }
  const against = referenceUs.median / calibratedUs;
  if (against > verdictRules.slowedOverall) {
    const write = (value: number, decimals: number): string => value.toFixed(decimals);
    const times = besideLimit(against, verdictRules.slowedOverall, { decimals: 2, write });
    return {
      verdict: 'throttled',
      reason: `The reference takes ${times.figure} times its calibrated ${figure(calibratedUs)} us (allowed ${times.limit} times).`,
    };
  }
  return null;
};

const drifted: Rule = ({ run: { keptRatios: ratios, ratio }, protocol }) => {
  const half = Math.floor(ratios.length / 2);
  if (half < 3) return null;
  const moved = Math.abs(median(ratios.slice(-half)) - median(ratios.slice(0, half))) / ratio.median;
  const allowed = verdictRules.driftHalfWidths * protocol.ciHalfWidth;
  if (moved <= allowed) return null;
  const by = shareBesideLimit(moved, allowed);
  return {
    verdict: 'drifted',
    reason: `The ratio to the reference moved by ${by.figure} between the first and second half of the rounds (allowed ${by.limit}).`,
  };
};

const noisy: Rule = ({ run: { ratio, ratioHalfWidth: width, stoppedBy }, protocol }) => {
  if (stoppedBy === 'interval' || width <= protocol.ciHalfWidth) return null;
  const known = shareBesideLimit(width, protocol.ciHalfWidth);
  return {
    verdict: 'noisy',
    reason: `After ${ratio.n} rounds the ratio is known to ${known.figure} only (allowed ${known.limit}).`,
  };
};

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
const figure = (value: number): string => value.toPrecision(4);
