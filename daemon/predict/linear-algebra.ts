/** Inverse of a symmetric positive definite n x n matrix (row major) by Cholesky; undefined when it is not definite. */
export function invertDefinite(matrix: Float64Array, n: number): Float64Array | undefined {
  const l = choleskyFactor(matrix, n);
  if (!l) return undefined;
  // Rows of the inverse factor, transposed: row j holds column j of L^-1, so that both loops run along memory.
  const t = new Float64Array(n * n);
  for (let j = 0; j < n; j++) {
    t[j * n + j] = 1 / (l[j * n + j] as number);
    for (let i = j + 1; i < n; i++) {
      let sum = 0;
      for (let k = j; k < i; k++) sum -= (l[i * n + k] as number) * (t[j * n + k] as number);
      t[j * n + i] = sum / (l[i * n + i] as number);
    }
  }
  const inverse = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let k = i; k < n; k++) sum += (t[i * n + k] as number) * (t[j * n + k] as number);
      inverse[i * n + j] = sum;
      inverse[j * n + i] = sum;
    }
  }
  return inverse;
}

/** x with Ax = b, A symmetric positive definite, n x n, row major; undefined when A is not definite. */
export function solveDefinite(matrix: Float64Array, b: Float64Array): Float64Array | undefined {
  const n = b.length;
  const l = choleskyFactor(matrix, n);
  if (!l) return undefined;
  const x = b.slice();
  for (let i = 0; i < n; i++) {
    let sum = x[i] as number;
    for (let k = 0; k < i; k++) sum -= (l[i * n + k] as number) * (x[k] as number);
    x[i] = sum / (l[i * n + i] as number);
  }
  for (let i = n - 1; i >= 0; i--) {
    const value = (x[i] as number) / (l[i * n + i] as number);
    x[i] = value;
    for (let k = 0; k < i; k++) x[k] = (x[k] as number) - (l[i * n + k] as number) * value;
  }
  return x;
}

/** Lower factor of A = LL', row major; undefined when A is not definite. */
function choleskyFactor(matrix: Float64Array, n: number): Float64Array | undefined {
  const l = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = matrix[i * n + j] as number;
      for (let k = 0; k < j; k++) sum -= (l[i * n + k] as number) * (l[j * n + k] as number);
      if (i === j) {
        if (!(sum > 0)) return undefined;
        l[i * n + i] = Math.sqrt(sum);
      } else l[i * n + j] = sum / (l[j * n + j] as number);
    }
  }
  return l;
}
