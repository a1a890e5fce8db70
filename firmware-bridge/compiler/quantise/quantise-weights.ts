import { HildaError } from '../../../daemon/core/errors.js';
import { generatedSigns } from '../../../daemon/network/generated-signs.js';
import type { TapMeans } from './channel-means.js';
import { multiplierOf, type Quantisation, shiftFor } from './quantisation.js';

/** The constants of a layer with weights: int8 symmetric by output channel, zero point folded into the bias. */
export interface LayerConstants {
  readonly outputs: number;
  /** Weights an output channel. */
  readonly depth: number;
  /** [outputs][depth]. */
  readonly weights: Int8Array;
  /** bias - zx sum(w), in steps of the accumulator. */
  readonly bias: Int32Array;
  readonly multipliers: Int32Array;
  readonly shift: number;
  /** What gives exactly these weights, where something does. */
  readonly generated?: GeneratedWeights;
}

/** The weights are 127 times the signs of a seed, of the outputs from `firstOutput` (a multiple of 4) on. */
export interface GeneratedWeights {
  readonly seed: number;
  readonly firstOutput: number;
}

/** The largest step of any accumulator of a layer with these weights, each output's quantised by its own largest. */
export const layerStep = (weights: Float32Array, x: Quantisation): number =>
  (weights.reduce((largest, w) => Math.max(largest, Math.abs(w)), 0) / 127) * x.scale;

/** Largest magnitude an accumulator may reach before the left shift. */
const accumulatorLimit = 2 ** 31 - 1;

/**
 * Quantises a layer, its bias corrected for the rounding of its weights and inputs (Nagel et al., ICCV 2019, section 4.2).
 * Every accumulator and partial sum is proven to fit 32 bits from the weights themselves: an input is at most 128 in
 * magnitude, so |bias'| + 128 sum |w| bounds it. Throws QUANTISATION_FAILED where that fails.
 */
export function quantiseWeights(
  name: string,
  values: {
    readonly outputs: number;
    readonly weights: Float32Array;
    readonly bias: Float32Array | undefined;
    /** The scale of each output's weights, where the network gives it: then the integers are its own. */
    readonly scales?: Float32Array | undefined;
    /** Whose signs the weights are said to be. */
    readonly seed?: number | undefined;
    /** What an input is on average: what rounding adds to the outputs is taken off the bias. */
    readonly means?: TapMeans | undefined;
  },
  x: Quantisation,
  y: Quantisation,
): LayerConstants {
  const { outputs } = values;
  const depth = values.weights.length / outputs;
  const weights = new Int8Array(values.weights.length);
  const bias = new Int32Array(outputs);
  const scales = new Float64Array(outputs);
  for (let n = 0; n < outputs; n++) {
    let largest = 0;
    for (let k = 0; k < depth; k++)
      largest = Math.max(largest, Math.abs(values.weights[n * depth + k] as number));
    const real = values.bias?.[n] ?? 0;
    // A channel of nearly no weight must still hold its bias in 2^30 steps, and its multiplier must not vanish.
    const given = values.scales?.[n];
    const isGiven = given !== undefined && Math.abs(real) / x.scale / given < 2 ** 30;
    const scale = isGiven
      ? given
      : Math.max(largest / 127, Math.abs(real) / x.scale / 2 ** 30, (y.scale / x.scale) * 2 ** -24);
    if (!Number.isFinite(scale))
      throw new HildaError('QUANTISATION_FAILED', `${name}: channel ${n} holds a weight that is no number`);
    let sum = 0;
    let magnitude = 0;
    let lost = 0;
    for (let k = 0; k < depth; k++) {
      const q = Math.round((values.weights[n * depth + k] as number) / scale);
      if (q < -128 || q > 127) refuseWeight(name, n, q);
      weights[n * depth + k] = q;
      sum += q;
      magnitude += Math.abs(q);
      if (values.means && !isGiven)
        lost +=
          (values.weights[n * depth + k] as number) * values.means.exact(n, k) -
          q * scale * values.means.rounded(n, k);
    }
    const folded = Math.round((real + lost) / (scale * x.scale)) - x.zeroPoint * sum;
    const bound = Math.abs(folded) + 128 * magnitude;
    scales[n] = (x.scale * scale) / y.scale;
    if (bound > accumulatorLimit) refuse(name, n, bound);
    bias[n] = folded;
  }
  const shift = shiftFor(
    scales.reduce((a, b) => Math.max(a, b), 0),
    name,
  );
  if (shift > 0)
    for (let n = 0; n < outputs; n++) {
      const magnitude = weights.subarray(n * depth, (n + 1) * depth).reduce((a, w) => a + Math.abs(w), 0);
      const bound = (Math.abs(bias[n] as number) + 128 * magnitude) * 2 ** shift;
      if (bound > accumulatorLimit) refuse(name, n, bound);
    }
  return {
    outputs,
    depth,
    weights,
    bias,
    multipliers: Int32Array.from(scales, (s) => multiplierOf(s, shift)),
    shift,
    ...(isGenerated(weights, outputs, depth, values.seed) && {
      generated: { seed: values.seed, firstOutput: 0 },
    }),
  };
}

/** Whether a board that makes the weights of a seed makes these, to the last bit. */
function isGenerated(
  weights: Int8Array,
  outputs: number,
  depth: number,
  seed: number | undefined,
): seed is number {
  if (seed === undefined) return false;
  const signs = generatedSigns(seed, outputs, depth);
  return weights.every((weight, i) => weight === 127 * (signs[i] as number));
}

/** Weights given less their zero point may need nine bits. */
function refuseWeight(name: string, channel: number, q: number): never {
  throw new HildaError(
    'QUANTISATION_FAILED',
    `${name}: a weight of channel ${channel} less its zero point is ${q}, boards hold -128 to 127`,
    { details: { name, channel, weight: q } },
  );
}

function refuse(name: string, channel: number, bound: number): never {
  throw new HildaError(
    'QUANTISATION_FAILED',
    `${name}: the accumulator of channel ${channel} may reach ${bound}, more than 32 bits hold`,
    { details: { name, channel, bound } },
  );
}
