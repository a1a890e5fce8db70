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

/** Squared distances from one vector to many; `scratch` holds as many zeros as there are features, and does after. */
export function squaredDistances(
  from: SparseVector,
  to: readonly SparseVector[],
  scratch: Float64Array,
  out: Float64Array,
): void {
  for (let k = 0; k < from.at.length; k++) scratch[from.at[k] as number] = from.value[k] as number;
  for (let j = 0; j < to.length; j++) {
    const { at, value, squaredLength } = to[j] as SparseVector;
    let dot = 0;
    for (let k = 0; k < at.length; k++) dot += (scratch[at[k] as number] as number) * (value[k] as number);
    out[j] = Math.max(0, from.squaredLength + squaredLength - 2 * dot);
  }
  for (const at of from.at) scratch[at] = 0;
}

/** Gaussian: smooth functions. Exponential (Matern 1/2): rough ones. */
export const kernelShapes = ['gaussian', 'exponential'] as const;

export interface Kernel {
  readonly shape: (typeof kernelShapes)[number];
  /** Inverse squared length scale. */
  readonly rate: number;
}

/** Similarity from 1, the same place, towards 0. */
export const similarity = ({ shape, rate }: Kernel, squaredDistance: number): number =>
  Math.exp(shape === 'gaussian' ? -rate * squaredDistance : -Math.sqrt(rate * squaredDistance));
