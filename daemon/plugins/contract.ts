import type { Architecture } from '../core/architecture.js';
import type { Clock } from '../core/clock.js';
import type { Driver } from '../devices/contract.js';
import type { Graph } from '../network/graph.js';
import type { FittedModel, ModelSamples } from '../predict/picker/other-models.js';
import type { Sampler } from '../search/samplers/contract.js';
import type { Dim, Space, WeightSource } from '../search/spaces/contract.js';
import type { PluginApi } from './api.js';

/**
 * Version of the contract below. A package states it as `hilda.contract` in its package.json, and no code of a package that
 * states another one runs. It grows with each change that breaks plug-ins.
 */
export const pluginContract = 1;

/** Options of a study or of the settings: JSON, as the user wrote it. */
export type GivenOptions = Readonly<Record<string, unknown>>;

/** A sampler that studies may name. */
export interface SamplerKind<Options = unknown> {
  /** Lower-case letters, digits and hyphens; names that hilda or another plug-in has are refused. */
  readonly name: string;
  /**
   * Checks what a study sets and fills in defaults. What it throws refuses the study with SPEC_INVALID. Without it, a study
   * may set nothing.
   */
  readOptions?(options: GivenOptions): Options;
  /** Makes a sampler for one run of a study; `restore` follows where the study ran before. */
  create(options: Options): Sampler;
}

/** A kind of device. */
export interface DriverKind<Options = unknown> {
  /** As `Driver.kind`, which it equals. Ids of its devices begin with it and a hyphen. */
  readonly kind: string;
  /** Checks the options of the settings. What it throws ends the start with PLUGIN_FAILED. Without it there are none. */
  readOptions?(options: GivenOptions): Options;
  /** Makes the driver; called once at the start of the daemon or agent. */
  create(options: Options, host: DriverHost): Driver;
}

/** What a driver gets of the process it runs in. */
export interface DriverHost {
  readonly clock: Clock;
}

/** A value of a network: bare, as a share that was counted on so many images, or with its 95 % interval. */
export type GivenQuality =
  | number
  | { readonly value: number; readonly images: number }
  | { readonly value: number; readonly ci: readonly [number, number] };

/** A kind of evaluator that studies may name: `evaluator: { kind: ... }`. */
export interface EvaluatorKind<Options = unknown> {
  /** Lower-case letters, digits and hyphens; names that hilda or another plug-in has are refused. */
  readonly kind: string;
  /** Checks what a study sets beside `kind`. What it throws refuses the study with SPEC_INVALID. Without it, nothing may be set. */
  readOptions?(options: GivenOptions): Options;
  /** Makes an evaluator for one run of a study; it is closed with that. */
  create(options: Options, host: EvaluatorHost): PluginEvaluator | Promise<PluginEvaluator>;
}

/** What an evaluator gets of the study it serves. */
export interface EvaluatorHost {
  readonly space: Space;
}

/** Gives an architecture's task quality. Deterministic: the same architecture gets the same answer. */
export interface PluginEvaluator {
  /** What it answers with, e.g. `['accuracy']`: accuracies are shares of 1. What devices measure is refused. */
  readonly metrics: readonly string[];
  readonly cost: 'free' | 'cheap' | 'train';
  /** A value for each metric and no more. What it throws makes the trial fail, unless the error says that the network is infeasible. */
  evaluate(
    architecture: Architecture,
    options: { readonly signal: AbortSignal },
  ): Promise<Readonly<Record<string, GivenQuality>>>;
  close(): Promise<void>;
}

/** An evaluator and the package it came with. */
export interface OwnedEvaluator {
  readonly plugin: string;
  readonly evaluator: EvaluatorKind;
}

/** A kind of search space: a study's `space: { kind: ..., id: ... }`. */
export interface SpaceKind<File = unknown> {
  /** Lower-case letters, digits and hyphens; names that hilda or another plug-in has are refused. */
  readonly kind: string;
  /** Checks what a space's file holds beside `kind` and `id`. What it throws refuses the file with SPACE_INVALID. Without it, nothing may be set. */
  readFile?(file: GivenOptions): File;
  create(file: File): PluginSpace;
}

/** Decisions, and the network that each choice of them gives. An architecture holds an index for each decision. */
export interface PluginSpace {
  readonly dims: readonly Dim[];
  /** Number of architectures in normal form; the product of all choices by default. */
  readonly size?: number;
  /** Two architectures that build one network have one normal form, with 0 for decisions without effect. By default each is normal. */
  normal?(indices: readonly number[]): readonly number[];
  /** Deterministic. Constants come from `weights` by name. */
  network(indices: readonly number[], weights: WeightSource): Graph;
  /** Known good starting points, the smallest and the largest network among them. */
  seeds?(): readonly (readonly number[])[];
}

/**
 * A model of costs. It competes with hilda's own by cross-validation, in studies and in predictors, and is used where it beats
 * them. Intervals are hilda's own, from errors on samples that the model did not see.
 */
export interface ModelKind {
  /** Lower-case letters, digits and hyphens; names that hilda or another plug-in has are refused. */
  readonly name: string;
  /** It is not asked about fewer samples; at least 2. */
  readonly minimumSamples: number;
  /** Learns logarithms of costs. Deterministic; keeps nothing from one call to the next. */
  fit(samples: ModelSamples): FittedModel;
}

/** What a package adds. */
export interface Plugin {
  readonly samplers?: readonly SamplerKind[];
  readonly drivers?: readonly DriverKind[];
  readonly evaluators?: readonly EvaluatorKind[];
  readonly spaces?: readonly SpaceKind[];
  readonly models?: readonly ModelKind[];
}

/**
 * The default export of a plug-in's module: called once, with hilda's own functions. A plug-in therefore imports types alone
 * from `hilda/plugin`, and shares no second copy of hilda's code.
 */
export type PluginFactory = (hilda: PluginApi) => Plugin | Promise<Plugin>;
