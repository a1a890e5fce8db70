import { solveDefinite } from './linear-algebra.js';

/** Sweeps between two jumps: enough for the set of positive coordinates to settle. */
const sweepsAJump = 4;

/**
 * argmin over w >= 0 of 1/2 w'Gw - b'w. Cyclic coordinate descent (Franc, Hlavac and Navara 2005, algorithm 1: each step
 * solves one coordinate exactly, w_j <- max(0, w_j - (Gw - b)_j / G_jj)) finds which coordinates are positive; every few
 * sweeps a jump towards the exact answer on those alone, up to the first that would turn negative (Lawson and Hanson 1974,
 * chapter 23), replaces the hundreds of sweeps that correlated columns would take. No step raises the objective, so it
 * converges for every G that is positive semidefinite. `gram` is p x p, row major, symmetric. Stops when no sweep moves
 * the objective noticeably. `start` is a guess of the answer; it saves sweeps.
 */
export function nonNegativeLeastSquares(
  gram: Float64Array,
  b: Float64Array,
  maxSweeps = 2000,
  start?: Float64Array,
): Float64Array {
  const p = b.length;
  const w = start ? start.slice() : new Float64Array(p);
  const gradient = b.map((value) => -value);
  for (let j = 0; j < p; j++) if (w[j] !== 0) move(gram, gradient, j, w[j] as number);
  for (let sweep = 1; sweep <= maxSweeps; sweep++) {
    if (descend(gram, gradient, w) < 1e-12) break;
    if (sweep % sweepsAJump === 0) jump(gram, gradient, b, w);
  }
  return w;
}

/** One sweep over all coordinates; the largest gain of a single step. */
function descend(gram: Float64Array, gradient: Float64Array, w: Float64Array): number {
  const p = w.length;
  let largestGain = 0;
  for (let j = 0; j < p; j++) {
    const curvature = gram[j * p + j] as number;
    if (!(curvature > 0)) continue;
    const before = w[j] as number;
    const after = Math.max(0, before - (gradient[j] as number) / curvature);
    const step = after - before;
    if (step === 0) continue;
    w[j] = after;
    move(gram, gradient, j, step);
    largestGain = Math.max(largestGain, curvature * step * step);
  }
  return largestGain;
}

function jump(gram: Float64Array, gradient: Float64Array, b: Float64Array, w: Float64Array): void {
  const p = w.length;
  const at: number[] = [];
  for (let j = 0; j < p; j++) if ((w[j] as number) > 0) at.push(j);
  const inner = new Float64Array(at.length ** 2);
  at.forEach((j, row) => {
    at.forEach((k, column) => {
      inner[row * at.length + column] = gram[j * p + k] as number;
    });
  });
  const exact = solveDefinite(
    inner,
    Float64Array.from(at, (j) => b[j] as number),
  );
  if (!exact) return;
  const blocking = at.reduce((share, j, i) => {
    const [from, to] = [w[j] as number, exact[i] as number];
    return to < 0 ? Math.min(share, from / (from - to)) : share;
  }, 1);
  at.forEach((j, i) => {
    const step = blocking * ((exact[i] as number) - (w[j] as number));
    const landed = (w[j] as number) + step;
    // Rounding must leave the coordinate that stopped the jump at zero, not beside it.
    const after = landed > 1e-15 ? landed : 0;
    move(gram, gradient, j, after - (w[j] as number));
    w[j] = after;
  });
}

function move(gram: Float64Array, gradient: Float64Array, j: number, step: number): void {
  const p = gradient.length;
  for (let k = 0; k < p; k++) gradient[k] = (gradient[k] as number) + step * (gram[j * p + k] as number);
}
