const neighbours = 8;

/**
 * How uncertain a place is: the posterior variance of a Gaussian process (Rasmussen and Williams 2006, equation 2.26)
 * given only the nearest samples. Never below the variance given all, close to it where neighbours dominate, and linear
 * in the samples instead of quadratic.
 */
export class NearestVariance {
  readonly #similarities: Float64Array;
  readonly #samples: number;
  readonly #noise: number;
  readonly #near = new Int32Array(neighbours);
  readonly #factor = new Float64Array(neighbours * neighbours);
  readonly #solved = new Float64Array(neighbours);

  /** `similarities` is samples x samples, row major. */
  constructor(similarities: Float64Array, samples: number, noise: number) {
    this.#similarities = similarities;
    this.#samples = samples;
    this.#noise = noise;
  }

  /** `row`: the place's similarity to every sample; `without` leaves one sample out. Noise is part of it. */
  at(row: Float64Array, without = -1): number {
    const count = this.#findNearest(row, without);
    const near = this.#near;
    const l = this.#factor;
    const solved = this.#solved;
    let explained = 0;
    for (let i = 0; i < count; i++) {
      const a = (near[i] as number) * this.#samples;
      let target = row[near[i] as number] as number;
      for (let j = 0; j <= i; j++) {
        let sum = this.#similarities[a + (near[j] as number)] as number;
        if (i === j) sum += this.#noise;
        for (let k = 0; k < j; k++)
          sum -= (l[i * neighbours + k] as number) * (l[j * neighbours + k] as number);
        l[i * neighbours + j] =
          i === j ? Math.sqrt(Math.max(sum, 1e-12)) : sum / (l[j * neighbours + j] as number);
      }
      for (let k = 0; k < i; k++) target -= (l[i * neighbours + k] as number) * (solved[k] as number);
      target /= l[i * neighbours + i] as number;
      solved[i] = target;
      explained += target * target;
    }
    return Math.max(1 - explained, 0) + this.#noise;
  }

  #findNearest(row: Float64Array, without: number): number {
    const near = this.#near;
    let count = 0;
    for (let j = 0; j < row.length; j++) {
      const value = row[j] as number;
      if (j === without) continue;
      if (count === neighbours && value <= (row[near[count - 1] as number] as number)) continue;
      let place = count < neighbours ? count++ : count - 1;
      while (place > 0 && (row[near[place - 1] as number] as number) < value) {
        near[place] = near[place - 1] as number;
        place--;
      }
      near[place] = j;
    }
    return count;
  }
}
