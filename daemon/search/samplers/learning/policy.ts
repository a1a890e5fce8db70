import { drawIndex, type Rng } from '../../../core/rng.js';

/** Unnormalised log-probabilities of each choice, by decision. */
export type Logits = readonly (readonly number[])[];

/** Adam's moments (Kingma and Ba 2015) beside the logits, and a moving baseline. Plain data, ready for the store. */
export interface Policy {
  readonly logits: Logits;
  readonly first: Logits;
  readonly second: Logits;
  /** Steps taken. */
  readonly t: number;
  readonly baseline: number | null;
}

export interface PolicyOptions {
  readonly rate: number;
  /** Share of the gap that the baseline closes in one step. */
  readonly baselineStep: number;
  readonly beta1: number;
  readonly beta2: number;
}

/** The moments' decay that ProxylessNAS's code has: no memory of earlier slopes. */
export const forgetfulAdam = { beta1: 0, beta2: 0.999 } as const;

export interface Sample {
  readonly indices: readonly number[];
  readonly reward: number;
  /** Importance weight: probability under this policy over that under the one it was drawn from. */
  readonly weight?: number;
}

export function uniformPolicy(sizes: readonly number[]): Policy {
  const zeros = sizes.map((size) => new Array<number>(size).fill(0));
  return { logits: zeros, first: zeros, second: zeros, t: 0, baseline: null };
}

export function softmax(logits: readonly number[]): number[] {
  const top = Math.max(...logits);
  const powers = logits.map((value) => Math.exp(value - top));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((value) => value / sum);
}

export const drawIndices = (logits: Logits, rng: Rng): number[] =>
  logits.map((row) => drawIndex(softmax(row), rng));

export const logProbability = (logits: Logits, indices: readonly number[]): number =>
  logits.reduce((sum, row, i) => sum + Math.log(softmax(row)[indices[i] as number] as number), 0);

/**
 * One REINFORCE step (Williams 1992) as ProxylessNAS takes it (Cai et al. 2019, section 3.3.2 and equation 8): the
 * gradient is the mean over the samples of (b - R) times the gradient of the log-probability, handed to Adam; then the
 * baseline moves towards the mean reward. The first step's baseline is its own mean reward.
 */
export function reinforce(policy: Policy, samples: readonly Sample[], o: PolicyOptions): Policy {
  if (samples.length === 0) return policy;
  const meanReward = samples.reduce((sum, { reward }) => sum + reward, 0) / samples.length;
  const baseline = policy.baseline ?? meanReward;
  const t = policy.t + 1;
  const first: number[][] = [];
  const second: number[][] = [];
  const logits = policy.logits.map((row, i) => {
    const probabilities = softmax(row);
    const gradient = row.map((_, j) =>
      samples.reduce((sum, { indices, reward, weight = 1 }) => {
        const slope = (indices[i] === j ? 1 : 0) - (probabilities[j] as number);
        return sum - (weight * (reward - baseline) * slope) / samples.length;
      }, 0),
    );
    const m = gradient.map((g, j) => o.beta1 * (policy.first[i]?.[j] as number) + (1 - o.beta1) * g);
    const v = gradient.map((g, j) => o.beta2 * (policy.second[i]?.[j] as number) + (1 - o.beta2) * g * g);
    first.push(m);
    second.push(v);
    return row.map((value, j) => {
      const corrected = (m[j] as number) / (1 - o.beta1 ** t);
      const deviation = Math.sqrt((v[j] as number) / (1 - o.beta2 ** t)) + 1e-8;
      return value - (o.rate * corrected) / deviation;
    });
  });
  return { logits, first, second, t, baseline: baseline + o.baselineStep * (meanReward - baseline) };
}

/** Full groups off the front of a queue; the rest waits for the next ask. */
export function fullGroups<T>(
  queue: readonly T[],
  size: number,
): { readonly groups: readonly (readonly T[])[]; readonly rest: readonly T[] } {
  const full = Math.floor(queue.length / size);
  return {
    groups: Array.from({ length: full }, (_, i) => queue.slice(i * size, (i + 1) * size)),
    rest: queue.slice(full * size),
  };
}
