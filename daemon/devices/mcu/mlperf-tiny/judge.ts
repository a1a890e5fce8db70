import type { Measurement } from '../../../core/measurement.js';
import type { Protocol } from '../../../measure/protocol.js';
import { median, relativeHalfWidth } from '../../../measure/statistics.js';
import { movement } from '../trend.js';
import type { Rounds } from './rounds.js';

/** No trend of so much is valid, however wide a protocol lets the interval be. */
const mostMovement = 0.02;

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
  const moved = movement(kept) / median(kept);
  const allowed = Math.min(mostMovement, protocol.ciHalfWidth);
  if (Math.abs(moved) > allowed)
    return {
      verdict: moved > 0 ? 'throttled' : 'drifted',
      reason: `The board got ${percent(Math.abs(moved))} ${moved > 0 ? 'slower' : 'faster'} from the first round to the last (allowed ${percent(allowed)}).`,
    };
  const known = percent(relativeHalfWidth(rawUs));
  const beside =
    unusable > 0 ? ` ${unusable} answers were lost, damaged or did not fit, and were not used.` : '';
  if (rawUs.n < protocol.minRounds || relativeHalfWidth(rawUs) > protocol.ciHalfWidth)
    return {
      verdict: 'noisy',
      reason: `After ${rawUs.n} rounds the median is known to ${known} only.${beside}`,
    };
  return { verdict: 'valid', reason: `${rawUs.n} rounds, median within ${known}.${beside}` };
}

const percent = (share: number): string => `${(share * 100).toFixed(2)} %`;
