import type { Matrix } from '../design.js';

export interface BoostingOptions {
  readonly rounds: number;
  readonly depth: number;
  readonly rate: number;
  /** Fewest samples of a leaf. */
  readonly leaf: number;
  /** Pulls a leaf's value towards 0, in samples. */
  readonly shrinkage: number;
}

const defaultBoosting: BoostingOptions = { rounds: 120, depth: 3, rate: 0.1, leaf: 6, shrinkage: 3 };

const maxBins = 32;

/** A complete binary tree of the given depth: node i's children are 2i + 1 and 2i + 2; feature -1 ends a branch. */
interface Tree {
  readonly feature: Int32Array;
  readonly threshold: Float64Array;
  readonly value: Float64Array;
}

/**
 * Histogram gradient boosting for squared error (Friedman 2001, algorithm 1; histograms as in Ke et al. 2017, section
 * 2.1): columns are cut into at most 32 bins at their quantiles, and a split is the bin border with the largest gain
 * sum^2 / (n + shrinkage).
 */
export class BoostedTrees {
  readonly #trees: readonly Tree[];
  readonly #rate: number;

  private constructor(trees: readonly Tree[], rate: number) {
    this.#trees = trees;
    this.#rate = rate;
  }

  /** `weights`: of the samples, in (0, 1]; 1 where left out. */
  static fit(
    x: Matrix,
    z: Float64Array,
    weights: Float64Array = new Float64Array(z.length).fill(1),
    options: BoostingOptions = defaultBoosting,
  ): BoostedTrees {
    const borders = Array.from({ length: x.columns }, (_, j) => bordersOf(x, j));
    const bins = Uint8Array.from(x.data, (value, at) =>
      binOf(borders[at % x.columns] as Float64Array, value),
    );
    const left = Float64Array.from(z);
    const trees: Tree[] = [];
    for (let round = 0; round < options.rounds; round++)
      trees.push(grow(bins, x.columns, borders, left, weights, options));
    return new BoostedTrees(trees, options.rate);
  }

  predict(x: Matrix): Float64Array {
    const out = new Float64Array(x.rows);
    for (const { feature, threshold, value } of this.#trees) {
      for (let i = 0; i < x.rows; i++) {
        let node = 0;
        for (let f = feature[0] as number; f >= 0; f = feature[node] as number) {
          const goesLeft = (x.data[i * x.columns + f] as number) <= (threshold[node] as number);
          node = 2 * node + (goesLeft ? 1 : 2);
        }
        out[i] = (out[i] as number) + this.#rate * (value[node] as number);
      }
    }
    return out;
  }
}

/** Fits one tree to what is left, and takes its answers off it. */
function grow(
  bins: Uint8Array,
  columns: number,
  borders: readonly Float64Array[],
  left: Float64Array,
  weights: Float64Array,
  { depth, rate, leaf, shrinkage }: BoostingOptions,
): Tree {
  const nodes = 2 ** (depth + 1) - 1;
  const tree: Tree = {
    feature: new Int32Array(nodes).fill(-1),
    threshold: new Float64Array(nodes),
    value: new Float64Array(nodes),
  };
  const members: (readonly number[])[] = [Array.from(left, (_, i) => i)];
  const sums = new Float64Array(maxBins);
  const counts = new Int32Array(maxBins);
  const masses = new Float64Array(maxBins);
  const weightOf = (inside: readonly number[]): number =>
    inside.reduce((sum, i) => sum + (weights[i] as number), 0);
  for (let node = 0; node < nodes; node++) {
    const inside = members[node];
    if (!inside) continue;
    const total = inside.reduce((sum, i) => sum + (weights[i] as number) * (left[i] as number), 0);
    const mass = weightOf(inside);
    const value = total / (mass + shrinkage);
    let best: { feature: number; bin: number; gain: number } | undefined;
    if (2 * node + 2 < nodes && inside.length >= 2 * leaf) {
      for (let j = 0; j < columns; j++) {
        const last = (borders[j] as Float64Array).length;
        if (last === 0) continue;
        sums.fill(0, 0, last + 1);
        counts.fill(0, 0, last + 1);
        masses.fill(0, 0, last + 1);
        for (const i of inside) {
          const bin = bins[i * columns + j] as number;
          sums[bin] = (sums[bin] as number) + (weights[i] as number) * (left[i] as number);
          masses[bin] = (masses[bin] as number) + (weights[i] as number);
          counts[bin] = (counts[bin] as number) + 1;
        }
        let sum = 0;
        let count = 0;
        let under = 0;
        for (let bin = 0; bin < last; bin++) {
          sum += sums[bin] as number;
          count += counts[bin] as number;
          under += masses[bin] as number;
          const rest = inside.length - count;
          if (count < leaf || rest < leaf) continue;
          const gain =
            sum ** 2 / (under + shrinkage) +
            (total - sum) ** 2 / (mass - under + shrinkage) -
            total ** 2 / (mass + shrinkage);
          if (gain > (best?.gain ?? 1e-12)) best = { feature: j, bin, gain };
        }
      }
    }
    if (!best) {
      tree.value[node] = value;
      for (const i of inside) left[i] = (left[i] as number) - rate * value;
      continue;
    }
    const { feature, bin } = best;
    tree.feature[node] = feature;
    tree.threshold[node] = borders[feature]?.[bin] as number;
    members[2 * node + 1] = inside.filter((i) => (bins[i * columns + feature] as number) <= bin);
    members[2 * node + 2] = inside.filter((i) => (bins[i * columns + feature] as number) > bin);
  }
  return tree;
}

/** Midway between neighbouring values; at quantiles where there are too many. */
function bordersOf(x: Matrix, column: number): Float64Array {
  const values = Float64Array.from(
    new Set(Array.from({ length: x.rows }, (_, i) => x.data[i * x.columns + column] as number)),
  ).sort();
  const gaps = values.length - 1;
  const count = Math.min(gaps, maxBins - 1);
  return Float64Array.from({ length: Math.max(0, count) }, (_, k) => {
    const at = gaps === count ? k : Math.floor(((k + 1) * gaps) / (count + 1));
    return ((values[at] as number) + (values[at + 1] as number)) / 2;
  });
}

function binOf(borders: Float64Array, value: number): number {
  let bin = 0;
  while (bin < borders.length && value > (borders[bin] as number)) bin++;
  return bin;
}
