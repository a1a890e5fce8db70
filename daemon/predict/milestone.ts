/**
 * The largest milestone up to n: every number below 32, from there on so many even steps a doubling (with 4: 32, 40, 48, 56,
 * 64, 80, 96, ...). What is chosen from so many samples stands until the next. A function of the number alone, so that a
 * study that resumes chooses the same.
 */
export function milestone(n: number, steps: number): number {
  const step = stepAt(n, steps);
  return Math.floor(n / step) * step;
}

/** The next one beyond n. */
export const nextMilestone = (n: number, steps: number): number => milestone(n, steps) + stepAt(n, steps);

const stepAt = (n: number, steps: number): number => (n < 32 ? 1 : 2 ** Math.floor(Math.log2(n)) / steps);
