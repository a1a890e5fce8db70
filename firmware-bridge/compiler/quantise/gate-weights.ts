import { HildaError } from '../../../daemon/core/errors.js';
import type { Quantisation } from './quantisation.js';
import { type LayerConstants, quantiseWeights } from './quantise-weights.js';

/** The steps of gates, once their weights are scaled so that -8 to 8 are the ends of their domain (ABI.md, Curves). */
export const gateQuantisation: Quantisation = { scale: 2 ** -12, zeroPoint: 0 };

/** Some inputs of a layer, which lie one behind the other in a quantisation of their own. */
export interface GateInputs {
  /** [output][input]. */
  readonly weights: Float32Array;
  readonly inputs: number;
  readonly quantisation: Quantisation;
}

/**
 * A layer over several inputs of different scales: each scale goes into the weights, so that one product sums over all of
 * them. `y` is that of the gates. Throws QUANTISATION_FAILED.
 */
export function quantiseGates(
  name: string,
  outputs: number,
  parts: readonly GateInputs[],
  bias: Float32Array | undefined,
  y: Quantisation = gateQuantisation,
): LayerConstants {
  const depth = parts.reduce((sum, { inputs }) => sum + inputs, 0);
  const scale = Math.max(...parts.map(({ quantisation }) => quantisation.scale));
  const weights = new Float32Array(outputs * depth);
  let from = 0;
  for (const part of parts) {
    const share = part.quantisation.scale / scale;
    for (let n = 0; n < outputs; n++)
      for (let k = 0; k < part.inputs; k++)
        weights[n * depth + from + k] = share * (part.weights[n * part.inputs + k] as number);
    from += part.inputs;
  }
  const layer = quantiseWeights(name, { outputs, weights, bias }, { scale, zeroPoint: 0 }, y);
  // Each part has a zero point of its own.
  const folded = layer.bias.slice();
  for (let n = 0; n < outputs; n++) {
    let [at, magnitude, shift] = [n * depth, 0, 0];
    for (const { inputs, quantisation } of parts)
      for (let k = 0; k < inputs; k++, at++) {
        const weight = layer.weights[at] as number;
        magnitude += Math.abs(weight);
        shift += quantisation.zeroPoint * weight;
      }
    folded[n] = (folded[n] as number) - shift;
    const bound = (Math.abs((layer.bias[n] as number) - shift) + 128 * magnitude) * 2 ** layer.shift;
    if (bound >= 2 ** 31)
      throw new HildaError('QUANTISATION_FAILED', `${name}: gate ${n} sums up to ${bound}`, {
        details: { name, gate: n, bound },
      });
  }
  return { ...layer, bias: folded };
}
