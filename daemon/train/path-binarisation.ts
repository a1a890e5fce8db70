import { drawIndex, type Rng } from '../core/rng.js';

/**
 * Gradient form of ProxylessNAS (Cai, Zhu and Han, ICLR 2019, sections 3.2 and 3.3.1): the arithmetic of architecture
 * parameters, apart from any network. alpha[l][i] belongs to choice i of layer l; probabilities are their softmax.
 */
export type Alphas = readonly (readonly number[])[];

export function softmaxOf(row: readonly number[]): number[] {
  const top = Math.max(...row);
  const powers = row.map((value) => Math.exp(value - top));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((value) => value / sum);
}

/** dL/dalpha_i = sum_j dL/dg_j p_j (delta_ij - p_i): equation 4, with the gradient of the gates for that of p. */
export function alphaGradient(gateGradients: readonly number[], p: readonly number[]): number[] {
  const weighted = gateGradients.reduce((sum, a, j) => sum + a * (p[j] as number), 0);
  return p.map((pi, i) => pi * ((gateGradients[i] as number) - weighted));
}

/** E[latency] of a layer and its gradient by alpha: equation 6. Same unit as the table. */
export function expectedLatency(
  p: readonly number[],
  table: readonly number[],
): { readonly value: number; readonly gradient: readonly number[] } {
  const value = p.reduce((sum, pi, i) => sum + pi * (table[i] as number), 0);
  return { value, gradient: p.map((pi, i) => pi * ((table[i] as number) - value)) };
}

/** How task loss and expected latency become one loss. Defaults of the authors' code: mul#log .2 and .3, add#linear .1. */
export type LatencyLoss =
  | { readonly kind: 'mul#log'; readonly alpha: number; readonly beta: number; readonly reference: number }
  | { readonly kind: 'add#linear'; readonly lambda: number; readonly reference: number };

/** The loss, and its slopes by task loss and by expected latency. For mul#log both latencies must exceed 1 (their unit). */
export function combineLoss(
  spec: LatencyLoss,
  taskLoss: number,
  latency: number,
): { readonly loss: number; readonly byTask: number; readonly byLatency: number } {
  if (spec.kind === 'add#linear') {
    const { lambda, reference } = spec;
    const loss = taskLoss + (lambda * (latency - reference)) / reference;
    return { loss, byTask: 1, byLatency: lambda / reference };
  }
  const { alpha, beta, reference } = spec;
  const ratio = Math.log(latency) / Math.log(reference);
  const factor = alpha * ratio ** beta;
  return {
    loss: factor * taskLoss,
    byTask: factor,
    byLatency: (factor * taskLoss * beta) / (Math.log(latency) * latency),
  };
}

/** Two different choices drawn by p without replacement, and which of them is active: drawn by their own softmax. */
export interface Pair {
  readonly choices: readonly [number, number];
  readonly q: readonly [number, number];
  /** 0 or 1. */
  readonly active: 0 | 1;
}

export function drawPair(row: readonly number[], rng: Rng): Pair {
  const p = softmaxOf(row);
  const first = drawIndex(p, rng);
  // Where one choice has all the probability that a double can hold, the other still is another one.
  const others = p.map((_, i) => i).filter((i) => i !== first);
  const second =
    others[
      drawIndex(
        others.map((i) => p[i] as number),
        rng,
      )
    ] ?? first;
  const [a, b] = softmaxOf([row[first] as number, row[second] as number]) as [number, number];
  return { choices: [first, second], q: [a, b], active: rng.next() < a ? 0 : 1 };
}

/**
 * After the optimiser moved the two alphas of a pair, both are shifted alike so that the pair's share of the softmax is
 * what it was: choices that were not sampled keep their probability (section 3.2, last paragraph).
 */
export function rescalePair(
  before: readonly number[],
  after: readonly number[],
  [i, j]: readonly [number, number],
): number[] {
  const mass = (row: readonly number[]): number => Math.exp(row[i] as number) + Math.exp(row[j] as number);
  const offset = Math.log(mass(after) / mass(before));
  return after.map((value, k) => (k === i || k === j ? value - offset : value));
}

/** Adam as the authors set it: betas 0 and 0.999, no decay. One per search. */
export class AlphaAdam {
  #second: number[][] | undefined;
  #t = 0;

  constructor(readonly rate: number) {}

  /** A null row has no gradient in this step and keeps its alphas. */
  step(alphas: Alphas, gradients: readonly (readonly number[] | null)[]): number[][] {
    this.#t++;
    this.#second ??= alphas.map((row) => row.map(() => 0));
    return alphas.map((row, l) => {
      const gradient = gradients[l];
      const second = (this.#second as number[][])[l] as number[];
      if (!gradient) return [...row];
      return row.map((value, i) => {
        const g = gradient[i] as number;
        second[i] = 0.999 * (second[i] as number) + 0.001 * g * g;
        return value - (this.rate * g) / (Math.sqrt((second[i] as number) / (1 - 0.999 ** this.#t)) + 1e-8);
      });
    });
  }
}

/** Mean entropy of the layers' choices in nats: falls from ln n to 0 as the search decides. */
export const meanEntropy = (alphas: Alphas): number =>
  alphas.reduce((sum, row) => {
    const p = softmaxOf(row);
    return sum - p.reduce((h, pi) => h + (pi > 0 ? pi * Math.log(pi) : 0), 0) / alphas.length;
  }, 0);

/** The final network: the likeliest choice of every layer. */
export const likeliest = (alphas: Alphas): number[] => alphas.map((row) => row.indexOf(Math.max(...row)));
