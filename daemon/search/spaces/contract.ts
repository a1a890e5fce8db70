import type { Architecture } from '../../core/architecture.js';
import type { Rng } from '../../core/rng.js';
import type { Graph } from '../../network/graph.js';
import type { RangeOf } from '../../network/quantise-nodes.js';

/** One decision variable of a space with fixed dimensions. */
export interface Dim {
  readonly name: string;
  /** What the variable may be; an architecture holds the index. Shown to people and one-hot encoded for predictors. */
  readonly choices: readonly (number | string)[];
  /**
   * Where a choice decides several things at once, these, and the choice by their indices, the last one's running fastest.
   * Samplers outside learn more from a kernel and a width than from a name of both.
   */
  readonly factors?: { readonly dims: readonly Dim[]; readonly choiceAt: readonly number[] };
}

/** One block of a network: the unit of ProxylessNAS's and FBNet's tables. */
export interface Block {
  /** How the names of its constants begin, `.` included. */
  readonly prefix: string;
  /** In the grammar of `daemon/predict/tables/block-key.ts`. */
  readonly key: string;
  /** For a block without constants: the one operator that it is, right after the block before it. */
  readonly op?: string;
  /** Of a searched layer, from 0; null for stem and head, and where a layer's cost hangs on other decisions too. */
  readonly layer: number | null;
  /** The layer's choice by name; null where `layer` is. */
  readonly choice: string | null;
}

/** What is known of an architecture without running it. Never a measured value. */
export interface FreeStats {
  readonly macs: number;
  readonly parameters: number;
  readonly weightBytes: number;
  /** Peak of live activation bytes in execution order, float32, batch 1. */
  readonly peakActivationBytes: number;
}

/**
 * Gives the constants of a network by name. `dims` is what the network needs; a super-network answers with the
 * matching cut of its larger tensor (leading slice on every axis, centre crop on a kernel's two spatial axes).
 */
export interface WeightSource {
  tensor(name: string, dims: readonly number[]): Float32Array;
}

/**
 * A space as decisions taken one after another, each of which may create others (DeepArchitect: Negrinho and Gordon
 * 2017). The list of decisions taken is a candidate's replayable record.
 */
export interface DecisionTree {
  /** How many choices the next decision has; 0 when none is left. Throws ARCHITECTURE_INVALID. */
  choices(taken: readonly number[]): number;
  architecture(taken: readonly number[]): Architecture;
  /** The decisions that lead to an architecture. */
  decisions(architecture: Architecture): readonly number[];
}

/** Number formats as decisions of their own, apart from those of the space they were added to. */
export interface Formats {
  /** The space without them: its super-network and its training serve this one. */
  readonly base: Space;
  baseArchitecture(architecture: Architecture): Architecture;
  /** The base's network of this architecture, with any weights, in this architecture's formats. */
  quantise(network: Graph, architecture: Architecture, rangeOf: RangeOf): Graph;
}

/**
 * A search space: decision variables and the rule that turns one architecture into a network.
 *
 * - Every architecture that `sample`, `mutate`, `crossover` or `seeds` returns is normal: two architectures that build
 *   the same network are equal (decisions without effect hold index 0), so ids identify networks.
 * - All randomness comes from the `rng` passed in; the same state gives the same architecture.
 * - `mutate` returns an architecture other than its argument wherever the space holds one.
 * - `network` without weights fills constants with reproducible small random values: right for latency, wrong for
 *   accuracy. It throws ARCHITECTURE_INVALID for an architecture of another space.
 */
export interface Space {
  readonly id: string;
  readonly dims?: readonly Dim[];
  /** How many architectures, normal forms only; Infinity for grammars. */
  readonly size: number;
  sample(rng: Rng): Architecture;
  mutate(architecture: Architecture, rng: Rng, probability?: number): Architecture;
  crossover?(a: Architecture, b: Architecture, rng: Rng): Architecture;
  /** The normal form of index vectors that a sampler composed itself. Throws ARCHITECTURE_INVALID. */
  normalise(architecture: Architecture): Architecture;
  stats(architecture: Architecture): FreeStats;
  /** Cost features: operator and shape -> how many, plus `macs` and `bytesMoved`. The predictor's input. */
  features(architecture: Architecture): ReadonlyMap<string, number>;
  /**
   * Descriptions for predicting a cost, the likeliest first, where `features` is not the only one: what differently
   * optimising runtimes execute. Which one a target follows is chosen by cross-validation.
   */
  views?(architecture: Architecture): Readonly<Record<string, ReadonlyMap<string, number>>>;
  /** The blocks of an architecture's network, in order, as published latency tables key them. */
  blocks?(architecture: Architecture): readonly Block[];
  /**
   * What tells architectures apart for a quality, where one-hot decisions say too little: the paths of a cell, the
   * pairs of a tree. Absent: one-hot decisions.
   */
  decisions?(architecture: Architecture): ReadonlyMap<string, number>;
  /** For spaces without `dims`: trees have no fixed list of decisions. */
  readonly tree?: DecisionTree;
  network(architecture: Architecture, weights?: WeightSource): Graph;
  /** For spaces some of whose decisions are number formats. `network` then has ranges for latency alone. */
  readonly formats?: Formats;
  /** Weights that the space came with, each at its largest; training starts from them. */
  readonly weights?: WeightSource;
  /** Known good starting points, the smallest and the largest among them. */
  seeds?(): readonly Architecture[];
}
