/**
 * argmin over w >= 0 of 1/2 w'Gw - b'w, by cyclic coordinate descent (Franc, Hlavac and Navara 2005, algorithm 1):
 * each step solves one coordinate exactly, w_j <- max(0, w_j - (Gw - b)_j / G_jj). Converges for every G that is
 * positive semidefinite. `gram` is p x p, row major, symmetric. Stops when no step moves the objective noticeably.
 * `start` is a guess of the answer; it saves sweeps.
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
  for (let j = 0; j < p; j++) if (w[j] !== 0) move(j, w[j] as number);
  for (let sweep = 0; sweep < maxSweeps; sweep++) {
    let largestGain = 0;
    for (let j = 0; j < p; j++) {
      const curvature = gram[j * p + j] as number;
      if (!(curvature > 0)) continue;
      const before = w[j] as number;
      const after = Math.max(0, before - (gradient[j] as number) / curvature);
      const step = after - before;
      if (step === 0) continue;
      w[j] = after;
      move(j, step);
      largestGain = Math.max(largestGain, curvature * step * step);
    }
    if (largestGain < 1e-12) break;
  }
  return w;

  function move(j: number, step: number): void {
    for (let k = 0; k < p; k++) gradient[k] = (gradient[k] as number) + step * (gram[j * p + k] as number);
  }
}
