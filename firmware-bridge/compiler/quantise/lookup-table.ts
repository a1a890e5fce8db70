import { type Quantisation, quantise } from './quantisation.js';

/**
 * A function of one value as 256 int8 answers, by the input's bits: entry q + 128 is the answer to q. An input that f has no
 * value for (the logarithm of what rounds below zero) gets the answer of the nearest that has one; infinities get the limits.
 */
export function lookupTable(f: (x: number) => number, x: Quantisation, y: Quantisation): Int8Array {
  const reals = Array.from({ length: 256 }, (_, i) => f(x.scale * (i - 128 - x.zeroPoint)));
  const known = reals.flatMap((real, i) => (Number.isNaN(real) ? [] : [i]));
  if (known.length < reals.length)
    for (const [i, real] of reals.entries()) {
      if (!Number.isNaN(real)) continue;
      const nearest = known.reduce((a, b) => (Math.abs(b - i) < Math.abs(a - i) ? b : a), known[0] ?? i);
      reals[i] = reals[nearest] as number;
    }
  return Int8Array.from(reals, (real) => quantise(Number.isNaN(real) ? 0 : real, y));
}

/** erf to 1.2e-7 (Numerical Recipes in C, 2nd edition, section 6.2: erfcc). */
function erf(x: number): number {
  const z = Math.abs(x);
  const t = 1 / (1 + 0.5 * z);
  const coefficients = [
    0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196,
    1.00002368, -1.26551223,
  ];
  const tail = t * Math.exp(coefficients.reduce((sum, c) => sum * t + c, 0) - z * z);
  return x >= 0 ? 1 - tail : tail - 1;
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const clip = (x: number, low: number, high: number): number => Math.min(high, Math.max(low, x));

/** Activations without parameters, by operator. */
export const activations: ReadonlyMap<string, (x: number) => number> = new Map(
  Object.entries({
    Relu: (x: number) => Math.max(0, x),
    Sigmoid: sigmoid,
    Tanh: Math.tanh,
    Erf: erf,
    Gelu: (x: number) => 0.5 * x * (1 + erf(x * Math.SQRT1_2)),
    GeluTanh: (x: number) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
    HardSwish: (x: number) => (x * clip(x + 3, 0, 6)) / 6,
    Exp: Math.exp,
    Abs: Math.abs,
    Neg: (x: number) => -x,
    Sqrt: (x: number) => Math.sqrt(Math.max(0, x)),
    Softplus: (x: number) => Math.log1p(Math.exp(x)),
  }),
);
