import type { Matrix } from '../design.js';
import { invertDefinite } from '../linear-algebra.js';

/** Keeps a direction that no sample shows from counting as known. */
const ridge = 1e-3;

/**
 * How far a place lies from what was measured: u'(U'U + r)^-1 u with relative rows u = (1, x) / y, which is the variance of
 * a linear prediction in units of the noise (Rasmussen and Williams 2006, equation 2.9). Near 0 among the samples.
 */
export class Leverage {
  readonly #inverse: Float64Array | undefined;
  readonly #scale: Float64Array;
  readonly #p: number;

  constructor(x: Matrix, y: Float64Array) {
    const p = x.columns + 1;
    this.#p = p;
    this.#scale = new Float64Array(p);
    const rows = Array.from({ length: x.rows }, (_, i) => this.#row(x, i, y[i] as number, false));
    for (const row of rows)
      for (let j = 0; j < p; j++) this.#scale[j] = (this.#scale[j] as number) + (row[j] as number) ** 2;
    for (let j = 0; j < p; j++) this.#scale[j] = 1 / (Math.sqrt((this.#scale[j] as number) / x.rows) || 1);
    const gram = new Float64Array(p * p);
    for (const row of rows) {
      for (let j = 0; j < p; j++) row[j] = (row[j] as number) * (this.#scale[j] as number);
      for (let j = 0; j < p; j++)
        if (row[j] !== 0)
          for (let k = 0; k < p; k++)
            gram[j * p + k] = (gram[j * p + k] as number) + (row[j] as number) * (row[k] as number);
    }
    for (let j = 0; j < p; j++) gram[j * p + j] = (gram[j * p + j] as number) + ridge * x.rows;
    this.#inverse = invertDefinite(gram, p);
  }

  /** Of each place, given its predicted metric. */
  of(x: Matrix, predicted: Float64Array): Float64Array {
    return Float64Array.from({ length: x.rows }, (_, i) =>
      this.#form(this.#row(x, i, predicted[i] as number, true)),
    );
  }

  /** Of each sample, had it been left out: h / (1 - h). */
  heldOut(x: Matrix, y: Float64Array): Float64Array {
    return this.of(x, y).map((h) => h / Math.max(0.05, 1 - h));
  }

  #row(x: Matrix, i: number, y: number, scaled: boolean): Float64Array {
    const row = new Float64Array(this.#p);
    row[0] = 1 / y;
    for (let j = 1; j < this.#p; j++) row[j] = (x.data[i * x.columns + j - 1] as number) / y;
    if (scaled) for (let j = 0; j < this.#p; j++) row[j] = (row[j] as number) * (this.#scale[j] as number);
    return row;
  }

  #form(row: Float64Array): number {
    const inverse = this.#inverse;
    if (!inverse) return 0;
    const p = this.#p;
    let sum = 0;
    for (let j = 0; j < p; j++) {
      const v = row[j] as number;
      if (v === 0) continue;
      let inner = 0;
      for (let k = 0; k < p; k++) inner += (inverse[j * p + k] as number) * (row[k] as number);
      sum += v * inner;
    }
    return sum;
  }
}
