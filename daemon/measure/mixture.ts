import type { Round } from '../core/measurement.js';
import type { Graph } from '../network/graph.js';

/**
 * The mixture of the two references that a network is compared with. Machines change regime (clock, a busy neighbour on
 * the same core), and a regime slows convolutions and small matrix products by different factors. The reference level
 * of a round is `convolution ^ weight x transformer ^ (1 - weight)`: the weight that moves as the network does.
 */

/** The weight where nothing else is known: the share of convolutions among the operators of the two kinds. */
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

/**
 * How far the rounds of one session may move the weight from the prior, as a standard deviation. Small: what changes within a
 * second is of another kind than what differs between sessions (a larger one made sessions agree less, not more).
 */
const priorDeviation = 0.05;

/**
 * The weight in [0, 1] by which the candidate follows the references from round to round. An instrumental-variable
 * estimate: each round's noise is its own, so products with the round before hold the regimes alone. Weighed against the prior by
 * the precision of both, so that it stays with the prior where the references hardly moved or the rounds are noisy.
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
  const off = followed / moved;
  const noise = network.reduce((sum, y, i) => sum + (y - off * (apart[i] as number)) ** 2, 0) / rounds.length;
  const precision = moved / Math.max(noise, 1e-8);
  const priorPrecision = 1 / priorDeviation ** 2;
  const weight = (off * precision + prior * priorPrecision) / (precision + priorPrecision);
  return Math.min(1, Math.max(0, weight));
}

function centred(values: readonly number[]): number[] {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return values.map((value) => value - mean);
}

/** Geometric mean of the two references by weight, in the unit of both. */
export const mixed = (convolution: number, transformer: number, weight: number): number =>
  convolution ** weight * transformer ** (1 - weight);
