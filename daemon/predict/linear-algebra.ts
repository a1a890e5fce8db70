/** Inverse of a symmetric positive definite n x n matrix (row major) by Cholesky; undefined when it is not definite. */
export function invertDefinite(matrix: Float64Array, n: number): Float64Array | undefined {
  const l = choleskyFactor(matrix, n);
  if (!l) return undefined;
  // Rows of the inverse factor, transposed: row j holds column j of L^-1, so that both loops run along memory.
  const t = new Float64Array(n * n);
  for (let j = 0; j < n; j++) {
    t[j * n + j] = 1 / (l[j * n + j] as number);
    substitute(l, n, { x: t, at: j * n, first: j, from: j + 1, to: n });
  }
  const inverse = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    const row = i * n;
    let j = 0;
    for (; j + 3 <= i; j += 4) {
      const r0 = j * n;
      const r1 = r0 + n;
      const r2 = r1 + n;
      const r3 = r2 + n;
      let s0 = 0;
      let s1 = 0;
      let s2 = 0;
      let s3 = 0;
      for (let k = i; k < n; k++) {
        const v = t[row + k] as number;
        s0 += v * (t[r0 + k] as number);
        s1 += v * (t[r1 + k] as number);
        s2 += v * (t[r2 + k] as number);
        s3 += v * (t[r3 + k] as number);
      }
      inverse[row + j] = s0;
      inverse[row + j + 1] = s1;
      inverse[row + j + 2] = s2;
      inverse[row + j + 3] = s3;
    }
    for (; j <= i; j++) {
      let sum = 0;
      for (let k = i; k < n; k++) sum += (t[row + k] as number) * (t[j * n + k] as number);
      inverse[row + j] = sum;
    }
  }
  for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) inverse[j * n + i] = inverse[i * n + j] as number;
  return inverse;
}

/** x with Ax = b, A symmetric positive definite, n x n, row major; undefined when A is not definite. */
export function solveDefinite(matrix: Float64Array, b: Float64Array): Float64Array | undefined {
  const n = b.length;
  const l = choleskyFactor(matrix, n);
  if (!l) return undefined;
  const x = b.slice();
  substitute(l, n, { x, at: 0, first: 0, from: 0, to: n });
  for (let i = n - 1; i >= 0; i--) {
    const value = (x[i] as number) / (l[i * n + i] as number);
    x[i] = value;
    for (let k = 0; k < i; k++) x[k] = (x[k] as number) - (l[i * n + k] as number) * value;
  }
  return x;
}

/** Logarithm of the determinant of a symmetric positive definite n x n matrix, row major; undefined when it is not definite. */
export function logDeterminant(matrix: Float64Array, n: number): number | undefined {
  const l = choleskyFactor(matrix, n);
  if (!l) return undefined;
  let sum = 0;
  for (let i = 0; i < n; i++) sum += Math.log(l[i * n + i] as number);
  return 2 * sum;
}

/** Lower factor of A = LL', row major; undefined when A is not definite. */
function choleskyFactor(matrix: Float64Array, n: number): Float64Array | undefined {
  const l = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    const row = i * n;
    for (let j = 0; j <= i; j++) l[row + j] = matrix[row + j] as number;
    substitute(l, n, { x: l, at: row, first: 0, from: 0, to: i });
    let left = l[row + i] as number;
    for (let k = 0; k < i; k++) left -= (l[row + k] as number) * (l[row + k] as number);
    if (!(left > 0)) return undefined;
    l[row + i] = Math.sqrt(left);
  }
  return l;
}

interface Unknowns {
  /** Holds the right-hand side, and then the solution, from `at` on. */
  readonly x: Float64Array;
  readonly at: number;
  /** The first that is not 0; those before `from` are solved. */
  readonly first: number;
  readonly from: number;
  readonly to: number;
}

/**
 * Forward substitution with a lower factor, in place. Four sums run side by side where one would wait for its own last
 * addition; each adds up in the order it would alone, so that the result is the same to the last bit.
 */
function substitute(l: Float64Array, n: number, { x, at, first, from, to }: Unknowns): void {
  let i = from;
  for (; i + 3 < to; i += 4) {
    const r0 = i * n;
    const r1 = r0 + n;
    const r2 = r1 + n;
    const r3 = r2 + n;
    let s0 = x[at + i] as number;
    let s1 = x[at + i + 1] as number;
    let s2 = x[at + i + 2] as number;
    let s3 = x[at + i + 3] as number;
    for (let k = first; k < i; k++) {
      const v = x[at + k] as number;
      s0 -= (l[r0 + k] as number) * v;
      s1 -= (l[r1 + k] as number) * v;
      s2 -= (l[r2 + k] as number) * v;
      s3 -= (l[r3 + k] as number) * v;
    }
    const x0 = s0 / (l[r0 + i] as number);
    s1 -= (l[r1 + i] as number) * x0;
    const x1 = s1 / (l[r1 + i + 1] as number);
    s2 -= (l[r2 + i] as number) * x0;
    s2 -= (l[r2 + i + 1] as number) * x1;
    const x2 = s2 / (l[r2 + i + 2] as number);
    s3 -= (l[r3 + i] as number) * x0;
    s3 -= (l[r3 + i + 1] as number) * x1;
    s3 -= (l[r3 + i + 2] as number) * x2;
    x[at + i] = x0;
    x[at + i + 1] = x1;
    x[at + i + 2] = x2;
    x[at + i + 3] = s3 / (l[r3 + i + 3] as number);
  }
  for (; i < to; i++) {
    let sum = x[at + i] as number;
    for (let k = first; k < i; k++) sum -= (l[i * n + k] as number) * (x[at + k] as number);
    x[at + i] = sum / (l[i * n + i] as number);
  }
}
