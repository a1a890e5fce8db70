/**
 * L^-1 of a symmetric positive definite matrix A = LL' that grows by one row and column at a time (bordering: Golub and
 * Van Loan 2013, section 4.2.9): a row costs the square of the size, and leaves what was there as it was. With it come
 * solutions of Ax = b and the diagonal of A^-1. Rows are taken four at a time, so that sums need not wait for each other.
 */
export class GrowingFactor {
  #size = 0;
  /** Row i starts at i x capacity; zeros right of the diagonal, and below the last row. */
  readonly #rows: Float64Array;
  readonly #capacity: number;
  readonly #diagonal: Float64Array;
  readonly #column: Float64Array;

  /** `capacity`: most rows that will come. */
  constructor(capacity: number) {
    this.#capacity = Math.ceil(capacity / 4) * 4;
    this.#rows = new Float64Array(this.#capacity ** 2);
    this.#diagonal = new Float64Array(this.#capacity);
    this.#column = new Float64Array(this.#capacity);
  }

  get size(): number {
    return this.#size;
  }

  /** `row`: the new row up to and with its diagonal entry, size + 1 values. False, and no change, when A would not be definite. */
  append(row: Float64Array): boolean {
    const n = this.#size;
    if (n === this.#capacity) throw new RangeError(`the factor holds ${n} rows at most`);
    const [t, stride, column] = [this.#rows, this.#capacity, this.#column];
    column.fill(0);
    column.set(row.subarray(0, n));
    const start = n * stride;
    let left = row[n] as number;
    // The new row of L is L^-1 times the new column; that of L^-1 follows from it.
    for (let j = 0; j < n; j += 4) {
      const [a, b, c, d] = [j * stride, (j + 1) * stride, (j + 2) * stride, (j + 3) * stride];
      const end = j + 4;
      let l0 = 0;
      let l1 = 0;
      let l2 = 0;
      let l3 = 0;
      for (let k = 0; k < end; k++) {
        const v = column[k] as number;
        l0 += v * (t[a + k] as number);
        l1 += v * (t[b + k] as number);
        l2 += v * (t[c + k] as number);
        l3 += v * (t[d + k] as number);
      }
      // The new row itself, half done, may be among the last four.
      if (j + 1 >= n) l1 = 0;
      if (j + 2 >= n) l2 = 0;
      if (j + 3 >= n) l3 = 0;
      left -= l0 * l0 + l1 * l1 + l2 * l2 + l3 * l3;
      for (let k = 0; k < end; k++) {
        const sum =
          l0 * (t[a + k] as number) +
          l1 * (t[b + k] as number) +
          l2 * (t[c + k] as number) +
          l3 * (t[d + k] as number);
        t[start + k] = (t[start + k] as number) - sum;
      }
    }
    if (!(left > 0)) {
      t.fill(0, start, start + stride);
      return false;
    }
    const scale = 1 / Math.sqrt(left);
    for (let k = 0; k < n; k++) {
      const value = scale * (t[start + k] as number);
      t[start + k] = value;
      this.#diagonal[k] = (this.#diagonal[k] as number) + value * value;
    }
    t[start + n] = scale;
    this.#diagonal[n] = scale * scale;
    this.#size = n + 1;
    return true;
  }

  /** x with Ax = b. */
  solve(b: ArrayLike<number>): Float64Array {
    const [n, t] = [this.#size, this.#rows];
    const x = new Float64Array(n);
    for (let i = 0; i < n; i++) {
      const at = i * this.#capacity;
      let y = 0;
      for (let k = 0; k <= i; k++) y += (t[at + k] as number) * (b[k] as number);
      for (let k = 0; k <= i; k++) x[k] = (x[k] as number) + (t[at + k] as number) * y;
    }
    return x;
  }

  /** Entry i of the diagonal of A^-1. */
  inverseAt(i: number): number {
    return this.#diagonal[i] as number;
  }
}
