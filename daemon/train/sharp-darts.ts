/**
 * Cosine power annealing (sharpDARTS, Hundt, Jain and Hager 2019, section 3.3): between cosine and exponential decay.
 * c = (1 + cos(pi e / E)) / 2, p = order^(c + 1) scaled to [0, 1], rate = min + (max - min) p. Order 1 is plain cosine;
 * the authors train with 10 and search with 2. `step` counts from 0 to `totalSteps`.
 */
export function cosinePowerAnnealing(
  step: number,
  {
    max,
    min,
    order,
    totalSteps,
  }: { readonly max: number; readonly min: number; readonly order: number; readonly totalSteps: number },
): number {
  const cosine = (1 + Math.cos((Math.PI * Math.min(step, totalSteps)) / totalSteps)) / 2;
  const share = order === 1 ? cosine : (order ** (cosine + 1) - order) / (order ** 2 - order);
  return min + (max - min) * share;
}

/**
 * Max-W regularisation (the same paper, equation 4): y = sum_i (1 - max(w) + w_i) op_i(x). The leading operation always
 * counts in full and gets no slope from its own lead, so an early lead does not feed itself.
 */
export function maxWeights(w: readonly number[]): number[] {
  const top = Math.max(...w);
  return w.map((value) => 1 - top + value);
}

/** The slope of a loss by w, given its slopes by the mixing weights of `maxWeights`. */
export function maxWeightsGradient(w: readonly number[], upstream: readonly number[]): number[] {
  const leader = w.indexOf(Math.max(...w));
  const total = upstream.reduce((a, b) => a + b, 0);
  return upstream.map((g, i) => (i === leader ? g - total : g));
}
