import type { StepTest } from './step-test.js';

/** Share of the points since that must hold the new level, and their least number. */
const leastShare = 0.7;
const leastHeld = 4;
/** Up to this many points the first one counts too: otherwise a shorter episode could pass for a step. */
const shortest = 7;
/** The mean of so many newest points must be above a third of the step: an episode may be over. */
const newestPoints = 3;
/** Further beyond the new level than this many scales, a point belongs to an episode or is an outlier. */
const band = 4;

/**
 * The number of values since that hold the new level; 0 where they do not hold it together: the last one must, among few
 * points the first one too, and most between. A value holds the level when it is clear of the old level, by a fifth of the
 * step and by half of it less 1.5 scales of the noise (in a small step noise alone takes a value back across the half), and
 * not far beyond the new one.
 */
export function heldPoints({ size, residuals, scales }: StepTest): number {
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
  return count >= Math.max(leastHeld, leastShare * n) ? count : 0;
}
