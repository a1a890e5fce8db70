import type { Clock } from '../core/clock.js';
import type { Driver } from '../devices/contract.js';
import type { Sampler } from '../search/samplers/contract.js';
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

/** What a package adds. */
export interface Plugin {
  readonly samplers?: readonly SamplerKind[];
  readonly drivers?: readonly DriverKind[];
}

/**
 * The default export of a plug-in's module: called once, with hilda's own functions. A plug-in therefore imports types alone
 * from `hilda/plugin`, and shares no second copy of hilda's code.
 */
export type PluginFactory = (hilda: PluginApi) => Plugin | Promise<Plugin>;
