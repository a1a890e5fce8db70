import { shareBesideLimit } from '../../../core/beside-limit.js';
import type { Measurement } from '../../../core/measurement.js';
import type { Protocol } from '../../../measure/protocol.js';
import { relativeHalfWidth } from '../../../measure/statistics.js';
import { trendOf } from '../silicon-trend.js';
import { siliconRules } from '../silicon-verdict.js';
import type { Rounds } from './rounds.js';

/** A step is told from noise by thirds that do not overlap and lie so far apart. */
const leastStep = 0.04;

/**
 * Judges rounds that no reference stands beside. In this order: `suspect` (two outputs, or times that are not positive),
 * `throttled` (slower from round to round), `drifted` (faster), `noisy`, `valid`.
 */
export function judge(
  { rounds, rawUs, outputs, firstRunUs, unusable }: Rounds,
  protocol: Protocol,
): Pick<Measurement, 'verdict' | 'reason'> {
  const kept = rounds.filter((round) => round.kept).map(({ latencyUs }) => latencyUs);
  if (outputs > 1) return { verdict: 'suspect', reason: `The same input gave ${outputs} outputs.` };
  if (!(rawUs.min > 0) || !(firstRunUs > 0))
    return { verdict: 'suspect', reason: 'The firmware reports a time that is not positive.' };
  const moved = movement(kept);
  const allowed = Math.min(siliconRules.moved, protocol.ciHalfWidth);
  if (Math.abs(moved) > allowed) {
    const by = shareBesideLimit(Math.abs(moved), allowed, 2);
    return {
      verdict: moved > 0 ? 'throttled' : 'drifted',
      reason: `The board got ${by.figure} ${moved > 0 ? 'slower' : 'faster'} from the first third of the rounds to the last (allowed ${by.limit}).`,
    };
  }
  const known = shareBesideLimit(relativeHalfWidth(rawUs), protocol.ciHalfWidth, 2);
  const beside =
    unusable > 0 ? ` ${unusable} answers were lost, damaged or did not fit, and were not used.` : '';
  if (rawUs.n < protocol.minRounds)
    return {
      verdict: 'noisy',
      reason: `${rawUs.n} rounds, at least ${protocol.minRounds} are needed.${beside}`,
    };
  if (relativeHalfWidth(rawUs) > protocol.ciHalfWidth)
    return {
      verdict: 'noisy',
      reason: `After ${rawUs.n} rounds the median is known to ${known.figure} only (allowed ${known.limit}).${beside}`,
    };
  return {
    verdict: 'valid',
    reason: `${rawUs.n} rounds, median within ${known.figure} (allowed ${known.limit}).${beside}`,
  };
}

/** By what share the last third of the values is above the first; 0 where chance explains it. */
export function movement(values: readonly number[]): number {
  if (values.length < 6) return 0;
  const { moved, z } = trendOf(values);
  const third = Math.floor(values.length / 3);
  const [first, last] = [values.slice(0, third), values.slice(-third)];
  const apart = Math.min(...last) > Math.max(...first) || Math.max(...last) < Math.min(...first);
  return Math.abs(z) > siliconRules.trendZ || (apart && Math.abs(moved) > leastStep) ? moved : 0;
}
