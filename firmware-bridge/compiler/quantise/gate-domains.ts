import type { Curve } from './curves.js';
import { type GateInputs, gateQuantisation } from './gate-weights.js';
import { type Range, rangeOf } from './quantisation.js';

/**
 * Between which values the outputs of a layer lie for all inputs that its bytes hold, and a hundredth more on either side
 * for the rounding of its weights.
 */
export function boundOf(parts: readonly GateInputs[], bias: Float32Array): Range {
  const ranges = parts.map(({ quantisation }) => rangeOf(quantisation));
  const rows = Array.from(bias, (real, n): Range => {
    let [min, max] = [real, real];
    for (const [at, { weights, inputs }] of parts.entries()) {
      const range = ranges[at] as Range;
      for (let k = n * inputs; k < (n + 1) * inputs; k++) {
        const w = weights[k] as number;
        min += w * (w > 0 ? range.min : range.max);
        max += w * (w > 0 ? range.max : range.min);
      }
    }
    return { min, max };
  });
  const [min, max] = [Math.min(...rows.map((row) => row.min)), Math.max(...rows.map((row) => row.max))];
  const spare = 0.01 * (max - min) + 1e-4 * Math.max(Math.abs(min), Math.abs(max));
  return { min: min - spare, max: max + spare };
}

/** The largest step of any accumulator of a layer. */
export const stepOfGates = (parts: readonly GateInputs[]): number =>
  Math.max(
    ...parts.map(
      ({ weights, quantisation }) =>
        (quantisation.scale * weights.reduce((most, w) => Math.max(most, Math.abs(w)), 0)) / 127,
    ),
  );

/** Steps of a gate that one step of its accumulator takes at most. */
const finestShare = 32;

/** The part of `bound` over which a table must tell values of a function apart, no finer than its accumulators are. */
export function domainOf(curve: Curve, bound: Range, step = 0): Range {
  const part = curve.isOdd ? oddPart(curve, bound) : tailedPart(curve, bound);
  const middle = (part.min + part.max) / 2;
  const least = Math.max((65536 * step) / finestShare, 2 ** -20 * Math.max(1, Math.abs(middle)));
  const half = Math.max(part.max - part.min, least) / 2;
  return { min: middle - half, max: middle + half };
}

/** Around zero, where the function is zero. */
function oddPart({ reach }: Curve, { min, max }: Range): Range {
  const far = Math.min(reach, Math.max(-min, max));
  return { min: -far, max: far };
}

/** From limit to limit; beyond them as far as the tail is worth telling, 2^-23 of what is nearest. */
function tailedPart({ reach, hasTail }: Curve, { min, max }: Range): Range {
  if (min >= reach) return { min, max: Math.min(max, min + (hasTail ? reach : 0)) };
  if (max <= -reach) return { min: Math.max(min, max - (hasTail ? reach : 0)), max };
  return { min: Math.max(min, -reach), max: Math.min(max, reach) };
}

/** A layer's part so that its outputs, in the steps of all gates, are places in a domain. */
export function placedIn(domain: Range, parts: readonly GateInputs[], bias: Float32Array) {
  const factor = (gateQuantisation.scale * 65536) / (domain.max - domain.min);
  const middle = (domain.min + domain.max) / 2;
  return {
    parts: parts.map((part) => ({ ...part, weights: part.weights.map((w) => w * factor) })),
    bias: bias.map((real) => (real - middle) * factor),
  };
}
