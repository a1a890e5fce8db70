import type { Round } from '../core/measurement.js';
import type { Graph } from '../network/graph.js';

/**
 * The mixture of the two references that a network is compared with. Machines change regime (clock, a busy neighbour on
 * the same core), and a regime slows convolutions and small matrix products by different factors. The reference level
 * of a round is `convolution ^ weight x transformer ^ (1 - weight)`: the weight that moves as the network does.
 */

/** Multiply-accumulates of the two kinds decide where nothing else is known: 1 is all convolution. */
export function priorWeight(network: Graph): number {
  let [convolutions, products] = [0, 0];
  for (const { op } of network.nodes) {
    if (convolutional.has(op)) convolutions++;
    else if (matrix.has(op)) products++;
  }
  // A patch embedding is one convolution in front of many matrix products.
  return convolutions + products === 0 ? 0.5 : convolutions / (convolutions + products);
}

const convolutional: ReadonlySet<string> = new Set(['Conv', 'ConvTranspose', 'ConvInteger', 'QLinearConv']);
const matrix: ReadonlySet<string> = new Set([
  'MatMul',
  'Gemm',
  'LayerNormalization',
  'Softmax',
  'MatMulInteger',
  'QLinearMatMul',
  'LSTM',
  'GRU',
  'RNN',
]);

/** Regimes must spread by more than this (standard deviation of the logarithm) before they outweigh the prior. */
const priorSpread = 0.02;

/**
 * The weight in [0, 1] by which the candidate follows the references from round to round. An instrumental-variable
 * estimate: each round's noise is its own, so products with the round before hold the regimes alone. Shrunk to the prior
 * where the references hardly moved.
 */
export function estimateWeight(rounds: readonly Round[], prior: number): number {
  if (rounds.length < 4) return prior;
  const apart = centred(rounds.map((r) => Math.log(r.referenceBeforeUs / r.referenceAfterUs)));
  const network = centred(rounds.map((r) => Math.log(r.candidateUs / r.referenceAfterUs)));
  let [moved, followed] = [0, 0];
  for (let i = 1; i < rounds.length; i++) {
    const before = apart[i - 1] as number;
    moved += before * (apart[i] as number);
    followed += before * (network[i] as number);
  }
  if (moved <= 0) return prior;
  const trust = rounds.length * priorSpread ** 2;
  return Math.min(1, Math.max(0, (followed + trust * prior) / (moved + trust)));
}

function centred(values: readonly number[]): number[] {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return values.map((value) => value - mean);
}

/** Geometric mean of the two references by weight, in the unit of both. */
export const mixed = (convolution: number, transformer: number, weight: number): number =>
  convolution ** weight * transformer ** (1 - weight);
