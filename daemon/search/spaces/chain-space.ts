import type { Architecture } from '../../core/architecture.js';
import { costFeatures, countCost } from '../../network/cost.js';
import type { Graph } from '../../network/graph.js';
import type { Dim, FreeStats, Space, WeightSource } from './contract.js';
import { Emitter } from './parts/emitter.js';
import { freeStats } from './parts/free-stats.js';
import { indexMoves, type Normalise } from './parts/index-moves.js';
import { boundedBuilder } from './parts/network-bounds.js';
import { randomWeights } from './parts/random-weights.js';

/** One link of a network: takes one value, gives one. */
export interface Part {
  /** Equal keys on inputs of equal shape emit equal operators; names of weights do not count. */
  readonly key: string;
  readonly emit: (e: Emitter, x: string) => string;
}

export interface ChainSpec {
  readonly id: string;
  readonly dims: readonly Dim[];
  /** Default: every vector is normal. */
  readonly normal?: Normalise;
  /** Default: the product of the dimensions. */
  readonly size?: number;
  /** Shape of the input, batch first. */
  readonly input: (indices: readonly number[]) => readonly number[];
  /** From input to output. The last part's value becomes the output `outputName`. */
  readonly parts: (indices: readonly number[]) => readonly Part[];
  readonly outputName?: string;
  /** Index vectors, the smallest and the largest network among them. */
  readonly seeds: readonly (readonly number[])[];
}

/**
 * A space whose networks are chains of parts. Features are the sum of the parts' features, each counted once for each
 * input shape, so that a search can ask for thousands.
 */
export function chainSpace(spec: ChainSpec): Space {
  const { id, dims, outputName = 'logits' } = spec;
  const moves = indexMoves(id, dims, spec.normal ?? ((indices) => indices));

  const network = (architecture: Architecture, weights: WeightSource = randomWeights): Graph => {
    const indices = moves.normalise(architecture);
    const b = boundedBuilder(id);
    const e = new Emitter(b, weights);
    let x = b.input('input', 'float32', spec.input(indices));
    for (const part of spec.parts(indices)) x = part.emit(e, x);
    b.output(x, outputName);
    return b.build();
  };

  interface Known {
    readonly features: ReadonlyMap<string, number>;
    readonly dims: readonly number[];
  }
  const known = new Map<string, Known>();
  const partOf = (part: Part, inputDims: readonly number[], isLast: boolean): Known => {
    const key = `${inputDims.join('x')} ${part.key}`;
    const counted = known.get(key);
    if (counted) return counted;
    const b = boundedBuilder('part');
    const x = b.input('input', 'float32', inputDims);
    const y = part.emit(new Emitter(b, randomWeights), x);
    if (y !== x) b.output(y, isLast ? outputName : y);
    const result = {
      features: y === x ? new Map<string, number>() : costFeatures(countCost(b.build())),
      dims: b.dimsOf(y),
    };
    known.set(key, result);
    return result;
  };
  const statsByKey = new Map<string, FreeStats>();

  return {
    id,
    dims,
    size: spec.size ?? dims.reduce((product, dim) => product * dim.choices.length, 1),
    ...moves,
    network,
    stats(architecture) {
      const key = moves.normalise(architecture).join();
      const stats = statsByKey.get(key) ?? freeStats(network(architecture));
      statsByKey.set(key, stats);
      return stats;
    },
    features(architecture) {
      const indices = moves.normalise(architecture);
      const sum = new Map<string, number>([
        ['macs', 0],
        ['bytesMoved', 0],
      ]);
      let shape = spec.input(indices);
      const parts = spec.parts(indices);
      parts.forEach((part, i) => {
        const counted = partOf(part, shape, i === parts.length - 1);
        for (const [key, value] of counted.features) sum.set(key, (sum.get(key) ?? 0) + value);
        shape = counted.dims;
      });
      return sum;
    },
    seeds: () => spec.seeds.map((seed) => moves.normalise(seed)),
  };
}

/** What an index of a dimension stands for. */
export const chosen = <T>(choices: readonly T[], index: number | undefined): T => choices[index ?? 0] as T;

/** Decisions of layers beyond a searched depth hold 0. `depthAt`: which index is the depth; `first`: where layers start. */
export const cutAtDepth =
  (depths: readonly number[], depthAt: number, first: number, perLayer: number): Normalise =>
  (indices) =>
    indices.map((index, i) =>
      i < first || i < first + perLayer * chosen(depths, indices[depthAt]) ? index : 0,
    );
