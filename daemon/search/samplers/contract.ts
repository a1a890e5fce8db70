import type { Architecture } from '../../core/architecture.js';
import type { ArchitectureId } from '../../core/ids.js';
import type { Json } from '../../core/json.js';
import type { Rng } from '../../core/rng.js';
import type { Space } from '../spaces/contract.js';

export interface Objective {
  /** e.g. `accuracy`, `latencyUs`, `peakRamBytes`. */
  readonly metric: string;
  readonly goal: 'max' | 'min';
}

/** A hard limit: `metric <= max`, on measured values. */
export interface Constraint {
  readonly metric: string;
  readonly max: number;
}

/**
 * `complete`: every metric is known and measured. `infeasible`: a limit is broken, known before or after measuring.
 * `failed`: the network or the device gave no valid answer. In every state the architecture is spent.
 */
export type TrialState = 'complete' | 'infeasible' | 'failed';

export interface Trial {
  readonly number: number;
  readonly id: ArchitectureId;
  readonly architecture: Architecture;
  readonly state: TrialState;
  /** By metric; empty or partial unless complete. */
  readonly values: Readonly<Record<string, number>>;
}

export interface Proposal {
  readonly architecture: Architecture;
  /** Why, for the log: `random`, `front`, `uncertain`, `mutation of 12`. */
  readonly note?: string;
}

/** A predicted metric: 90 % interval. */
export interface Prediction {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

/** Answers for many architectures at once; undefined as long as a metric has too few measurements. */
export type PredictMetric = (
  metric: string,
  architectures: readonly Architecture[],
) => readonly Prediction[] | undefined;

/** A finished study of the same space, on other devices or data: what transfer learns from. */
export interface EarlierStudy {
  readonly id: string;
  readonly objectives: readonly Objective[];
  readonly constraints: readonly Constraint[];
  readonly history: readonly Trial[];
}

export interface AskContext {
  readonly space: Space;
  /** The study's only generator; its state is stored with the study. */
  readonly rng: Rng;
  readonly objectives: readonly Objective[];
  readonly constraints: readonly Constraint[];
  /** Every told trial, by number. */
  readonly history: readonly Trial[];
  /** Asked, not yet told. */
  readonly pending: readonly Architecture[];
  /** Refitted on the history before each ask. Absent where nothing can be predicted. */
  readonly predict?: PredictMetric;
  /** Trials the study may spend in all. Absent where nobody says. */
  readonly budget?: number;
  /** Finished studies of the same space that the user allows to learn from. */
  readonly earlier?: readonly EarlierStudy[];
}

export type SamplerNeed = 'dims' | 'crossover' | 'predict';

/**
 * A search algorithm.
 *
 * - `ask(n)` returns up to n proposals; fewer, or none, when the space is exhausted. It never proposes an architecture
 *   of `history` or `pending`, nor the same one twice, while the space holds others.
 * - `tell` takes any subset of the asked trials in any order, each once. All of them may have failed.
 * - Equal state, equal context and equal rng state give equal proposals; `restore(state())` changes nothing.
 * - A sampler keeps no reference to what it is passed.
 */
export interface Sampler {
  readonly name: string;
  /** Abilities the space or the loop must offer; the study refuses the pair otherwise (SPEC_INVALID). */
  readonly needs: readonly SamplerNeed[];
  ask(n: number, context: AskContext): Proposal[];
  tell(trials: readonly Trial[]): void;
  state(): Json;
  restore(state: Json): void;
}
