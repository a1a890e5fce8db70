import { medianOf } from '../statistics.js';

/** With fewer references before a change nothing is concluded. */
const leastReferences = 5;

/**
 * What the reference network says of a step: it moved with the series (`machine`: at least half of the step), it did not move
 * (`series`: less than a quarter), or neither is clear. Values are logarithms, NaN where there was no reference.
 */
export function judgeByReference(
  before: readonly number[],
  since: readonly number[],
  size: number,
): 'machine' | 'series' | 'unknown' {
  const [old, now] = [before.filter(Number.isFinite), since.filter(Number.isFinite)];
  if (old.length < leastReferences || now.length < leastReferences) return 'unknown';
  const share = (medianOf(now) - medianOf(old)) / size;
  return share >= 0.5 ? 'machine' : Math.abs(share) < 0.25 ? 'series' : 'unknown';
}
