import type { Features } from './contract.js';

/** A sample's features that fitting knows, scaled, and the squared length of them all. */
export interface SparseVector {
  readonly at: readonly number[];
  readonly value: readonly number[];
  readonly squaredLength: number;
}

/**
 * Where features lie: decisions that are 0 or 1 as they are, counts and sizes in units of their standard deviation, so
 * that MACs of 1e9 and a kernel of 3 weigh alike.
 */
export class FeatureMap {
  readonly #places = new Map<string, { readonly at: number; readonly scale: number }>();

  constructor(samples: readonly Features[]) {
    const columns = new Map<string, number[]>();
    for (const features of samples) {
      for (const [name, value] of features) {
        const column = columns.get(name);
        if (column) column.push(value);
        else columns.set(name, [value]);
      }
    }
    for (const [name, present] of columns)
      this.#places.set(name, { at: this.#places.size, scale: scaleOf(present, samples.length) });
  }

  get size(): number {
    return this.#places.size;
  }

  vector(features: Features): SparseVector {
    const at: number[] = [];
    const value: number[] = [];
    let squaredLength = 0;
    for (const [name, raw] of features) {
      if (raw === 0) continue;
      const place = this.#places.get(name);
      if (!place) {
        squaredLength += 1; // Never seen: as far off as another decision.
        continue;
      }
      const scaled = raw * place.scale;
      squaredLength += scaled * scaled;
      at.push(place.at);
      value.push(scaled);
    }
    return { at, value, squaredLength };
  }
}

/** `present` are the values of the samples that have the feature; it is 0 for the others. */
function scaleOf(present: readonly number[], samples: number): number {
  if (present.every((value) => value === 0 || value === 1)) return 1;
  const mean = present.reduce((sum, value) => sum + value, 0) / samples;
  const squares = present.reduce((sum, value) => sum + value * value, 0) / samples;
  const deviation = Math.sqrt(Math.max(0, squares - mean * mean));
  return 1 / (deviation > 1e-9 * Math.abs(mean) ? deviation : Math.abs(mean) || 1);
}

/** Vectors that distances are taken to, listed by feature: a vector meets only those that share one with it. */
export class VectorSet {
  readonly #squaredLengths: number[] = [];
  readonly #having: { readonly at: number[]; readonly value: number[] }[];

  constructor(features: number) {
    this.#having = Array.from({ length: features }, () => ({ at: [], value: [] }));
  }

  get size(): number {
    return this.#squaredLengths.length;
  }

  add({ at, value, squaredLength }: SparseVector): void {
    at.forEach((feature, k) => {
      const list = this.#having[feature] as { at: number[]; value: number[] };
      list.at.push(this.size);
      list.value.push(value[k] as number);
    });
    this.#squaredLengths.push(squaredLength);
  }

  /** Writes the squared distances from one vector to the first `out.length` of the set. */
  squaredDistances(from: SparseVector, out: Float64Array): void {
    out.fill(0);
    const count = out.length;
    for (let k = 0; k < from.at.length; k++) {
      const { at, value } = this.#having[from.at[k] as number] as { at: number[]; value: number[] };
      const v = from.value[k] as number;
      for (let i = 0; i < at.length; i++) {
        const j = at[i] as number;
        if (j < count) out[j] = (out[j] as number) + v * (value[i] as number);
      }
    }
    for (let j = 0; j < count; j++)
      out[j] = Math.max(0, from.squaredLength + (this.#squaredLengths[j] as number) - 2 * (out[j] as number));
  }
}

/** Gaussian: smooth functions. Exponential (Matern 1/2): rough ones. */
export const kernelShapes = ['gaussian', 'exponential'] as const;

export interface Kernel {
  readonly shape: (typeof kernelShapes)[number];
  /** Inverse squared length scale. */
  readonly rate: number;
}

/** Similarities from 1, the same place, towards 0; `out` may be the distances themselves. */
export function similarities(
  { shape, rate }: Kernel,
  squaredDistances: Float64Array,
  out: Float64Array,
): void {
  if (shape === 'gaussian')
    for (let i = 0; i < out.length; i++) out[i] = Math.exp(-rate * (squaredDistances[i] as number));
  else
    for (let i = 0; i < out.length; i++)
      out[i] = Math.exp(-Math.sqrt(rate * (squaredDistances[i] as number)));
}
