import { HildaError } from '../core/errors.js';
import type { Features } from './contract.js';
import { GrowingFactor } from './growing-factor.js';
import { choose } from './leave-one-out.js';
import { nextMilestone } from './milestone.js';
import { NearestVariance } from './nearest-variance.js';
import { FeatureMap, type Kernel, similarities, VectorSet } from './similarity.js';
import type { WarpName } from './warp.js';

/** Of more than these, the newest half of the budget and an even draw of the rest: a fit is cubic in the samples. */
const maxSamples = 500;
/** Kernel, noise and warp are chosen anew so often while the samples double. */
export const choicesADoubling = 4;

/**
 * The equations of a kernel regression: kernel, noise and warp as chosen from the first samples, and the factor of the
 * similarities, which samples behind them extend one by one. Nothing here depends on when the extension happened.
 */
export class KernelSystem {
  /** Indices of the samples it holds, ascending. */
  readonly kept: number[];
  readonly warp: WarpName;
  readonly factor: GrowingFactor;
  readonly #first: number;
  readonly #values: readonly number[];
  readonly #samples: Features[];
  readonly #map: FeatureMap;
  readonly #vectors: VectorSet;
  readonly #kernel: Kernel;
  readonly #noise: number;
  readonly #stride: number;
  readonly #similarities: Float64Array;
  readonly #variance: NearestVariance;

  constructor(samples: readonly Features[], values: readonly number[]) {
    this.#first = samples.length;
    this.#values = values;
    this.#samples = [...samples];
    this.kept = keptSamples(samples.length);
    const kept = this.kept.map((i) => samples[i] as Features);
    this.#map = new FeatureMap(kept);
    const vectors = kept.map((features) => this.#map.vector(features));
    this.#vectors = new VectorSet(this.#map.size);
    const distances = (chosen: readonly number[]): Float64Array => {
      const set = new VectorSet(this.#map.size);
      const out = new Float64Array(chosen.length ** 2);
      for (const i of chosen) set.add(vectors[i] as (typeof vectors)[number]);
      chosen.forEach((i, row) => {
        const at = out.subarray(row * chosen.length, (row + 1) * chosen.length);
        set.squaredDistances(vectors[i] as (typeof vectors)[number], at);
      });
      return out;
    };
    const choice = choose(
      distances,
      this.kept.map((i) => values[i] as number),
    );
    [this.#kernel, this.#noise, this.warp] = [choice.kernel, choice.noise, choice.warp];
    this.#stride = kept.length + nextMilestone(samples.length, choicesADoubling) - samples.length;
    this.#similarities = new Float64Array(this.#stride ** 2);
    this.#variance = new NearestVariance(this.#similarities, this.#stride, this.#noise);
    this.factor = new GrowingFactor(this.#stride);
    for (const features of kept) this.#append(features);
  }

  /** Whether the system for these samples is this one, perhaps extended. */
  startsWith(samples: readonly Features[], values: readonly number[], first: number): boolean {
    return (
      first === this.#first &&
      samples.length >= this.#samples.length &&
      this.#values.every((value, i) => value === values[i]) &&
      this.#samples.every((features, i) => features === samples[i])
    );
  }

  /** Adds those of `samples` that it lacks at the end. Throws PREDICTOR_UNFIT. */
  extend(samples: readonly Features[]): void {
    for (const features of samples.slice(this.#samples.length)) {
      this.kept.push(this.#samples.length);
      this.#samples.push(features);
      this.#append(features);
    }
  }

  /** Similarities of a place to each sample held. */
  similaritiesTo(features: Features, out: Float64Array): void {
    this.#vectors.squaredDistances(this.#map.vector(features), out);
    similarities(this.#kernel, out, out);
  }

  /** Variance, noise included, at the place of these similarities. */
  varianceAt(row: Float64Array): number {
    return this.#variance.at(row);
  }

  /** Variance at a sample that was left out. */
  varianceOfSample(i: number): number {
    const start = i * this.#stride;
    return this.#variance.at(this.#similarities.subarray(start, start + this.factor.size), i);
  }

  #append(features: Features): void {
    const n = this.factor.size;
    const vector = this.#map.vector(features);
    this.#vectors.add(vector);
    const row = this.#similarities.subarray(n * this.#stride, n * this.#stride + n + 1);
    this.#vectors.squaredDistances(vector, row);
    similarities(this.#kernel, row, row);
    for (let j = 0; j < n; j++) this.#similarities[j * this.#stride + n] = row[j] as number;
    const noisy = row.slice();
    noisy[n] = (noisy[n] as number) + this.#noise;
    if (!this.factor.append(noisy))
      throw new HildaError('PREDICTOR_UNFIT', 'the samples do not determine a ridge model');
  }
}

function keptSamples(count: number): number[] {
  const all = Array.from({ length: count }, (_, i) => i);
  if (count <= maxSamples) return all;
  const newest = count - maxSamples / 2;
  const stride = newest / (maxSamples / 2);
  return [...Array.from({ length: maxSamples / 2 }, (_, i) => Math.floor(i * stride)), ...all.slice(newest)];
}
