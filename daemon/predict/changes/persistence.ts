import type { StepTest } from './step-test.js';
import { locationOf, logDensity } from './student.js';

/** Share of the points since that must hold the new level, and their least number. */
const leastShare = 0.7;
const leastHeld = 4;
/** Up to this many points the first one counts too: otherwise a shorter episode could pass for a step. */
const shortest = 7;
/** The mean of so many newest points must be above a third of the step: an episode may be over. */
const newestPoints = 3;
/** Logarithm of the likelihood ratio from which an episode is over. */
const leastGain = 3;
/** Further beyond the new level than this many scales, a point belongs to an episode or is an outlier. */
const band = 4;

/**
 * The number of values since that hold the new level; 0 where they do not hold it together: the last one must, among few
 * points the first one too, and most between. A value holds the level when it is clear of the old level, by a fifth of the
 * step and by half of it less 1.5 scales of the noise (in a small step noise alone takes a value back across the half), and
 * not far beyond the new one.
 */
export function heldPoints(test: StepTest): number {
  const { size, residuals, scales } = test;
  const n = residuals.length;
  const sign = Math.sign(size);
  const height = Math.abs(size);
  const clear = (i: number): boolean =>
    sign * (residuals[i] as number) > Math.max(height / 5, height / 2 - 1.5 * (scales[i] as number));
  if (!clear(n - 1) || (n <= shortest && !clear(0))) return 0;
  let newest = 0;
  for (let i = n - newestPoints; i < n; i++) newest += (sign * (residuals[i] as number)) / newestPoints;
  if (newest < height / 3) return 0;
  let count = 0;
  for (let i = 0; i < n; i++)
    if (clear(i) && sign * (residuals[i] as number) < height + band * (scales[i] as number)) count++;
  return count >= Math.max(leastHeld, leastShare * n) && !isOver(test) ? count : 0;
}

/** Whether an episode that ended two to five points ago explains the values better than a step that stays. */
function isOver({ size, residuals, scales }: StepTest): boolean {
  const n = residuals.length;
  const gainOf = (i: number, level: number): number => {
    const scale = scales[i] as number;
    const residual = residuals[i] as number;
    return logDensity((residual - level) / scale) - logDensity((residual - size) / scale);
  };
  for (let back = 2; back <= Math.min(5, n - 3); back++) {
    const height = locationOf(residuals.subarray(0, n - back), scales.subarray(0, n - back));
    let gain = 0;
    for (let i = 0; i < n; i++) gain += gainOf(i, i < n - back ? height : 0);
    if (gain > leastGain) return true;
  }
  return false;
}
