import type { Clock } from '../core/clock.js';
import { asHildaError, HildaError } from '../core/errors.js';
import type { Driver } from '../devices/contract.js';
import { deviceKinds } from '../devices/registry.js';
import { type CostModel, ownModels } from '../predict/picker/other-models.js';
import type { SamplerPlugin } from '../search/samplers/plugin.js';
import { samplerNames } from '../search/samplers/registry.js';
import { type SpacePlugin, spaceKinds } from '../search/spaces/registry.js';
import { CheckedDriver } from './checked-driver.js';
import { checkedModel } from './checked-model.js';
import { checkedSampler } from './checked-sampler.js';
import { checkedSpace } from './checked-space.js';
import type { DriverKind, GivenOptions, OwnedEvaluator, Plugin } from './contract.js';
import { type FoundPlugin, findPlugin } from './find-plugin.js';
import { importPlugin } from './import-plugin.js';
import type { PureParts } from './pure-parts.js';

/** A plug-in to load, and the options of its drivers by their kind. */
export interface PluginSetting {
  readonly name: string;
  readonly drivers?: Readonly<Record<string, GivenOptions>> | undefined;
}

export interface LoadOptions {
  /** Folders whose `node_modules` may hold plug-ins; see `findPlugin`. */
  readonly folders: readonly string[];
  readonly clock: Clock;
  /** Kinds of evaluators that hilda has. */
  readonly evaluatorKinds: readonly string[];
}

/** What was loaded, for people. */
export interface LoadedPlugin {
  readonly name: string;
  readonly version: string;
  readonly samplers: readonly string[];
  readonly drivers: readonly string[];
  readonly evaluators: readonly string[];
  readonly spaces: readonly string[];
  readonly models: readonly string[];
}

export interface LoadedPlugins {
  readonly plugins: readonly LoadedPlugin[];
  readonly samplers: readonly SamplerPlugin[];
  readonly drivers: readonly Driver[];
  readonly evaluators: readonly OwnedEvaluator[];
  readonly pure: PureParts;
}

/**
 * Loads plug-ins by package name, in order. Their code runs in this process with its rights, so only the person who starts the
 * process may name them. Throws what `findPlugin` throws, PLUGIN_CONFLICT for a name that is taken, and PLUGIN_FAILED where
 * a module throws, hangs, or exports something else than a plug-in.
 */
export async function loadPlugins(
  settings: readonly PluginSetting[],
  { folders, ...options }: LoadOptions,
): Promise<LoadedPlugins> {
  // All are found before the first one runs.
  const found = onlyOnce(settings).map((setting) => ({ setting, at: findPlugin(setting.name, folders) }));
  return runPlugins(found, options);
}

/** Loads what was found. Throws PLUGIN_CONFLICT, PLUGIN_FAILED. */
export async function runPlugins(
  found: readonly { readonly setting: PluginSetting; readonly at: FoundPlugin }[],
  { clock, evaluatorKinds }: Omit<LoadOptions, 'folders'>,
): Promise<LoadedPlugins> {
  const owners = {
    sampler: new Map<string, string>([...samplerNames, 'external'].map((own) => [own, 'hilda'])),
    driver: new Map<string, string>(deviceKinds.map((own) => [own, 'hilda'])),
    evaluator: new Map<string, string>(evaluatorKinds.map((own) => [own, 'hilda'])),
    space: new Map<string, string>(spaceKinds.map((own) => [own, 'hilda'])),
    model: new Map<string, string>(ownModels.map((own) => [own, 'hilda'])),
  };
  const take = (what: keyof typeof owners, word: string, plugin: string): void => {
    const owner = owners[what].get(word);
    if (owner !== undefined)
      throw new HildaError(
        'PLUGIN_CONFLICT',
        `the plug-in ${plugin} brings the ${what} ${word}, a name that ${owner} has`,
        { details: { name: word, plugin, owner } },
      );
    owners[what].set(word, plugin);
  };
  const plugins: LoadedPlugin[] = [];
  const samplers: SamplerPlugin[] = [];
  const drivers: Driver[] = [];
  const evaluators: OwnedEvaluator[] = [];
  const spaces: SpacePlugin[] = [];
  const models: CostModel[] = [];
  const from: FoundPlugin[] = [];
  for (const { setting, at } of found) {
    const plugin = await importPlugin(at, clock);
    for (const kind of plugin.samplers ?? []) {
      take('sampler', kind.name, at.name);
      samplers.push(checkedSampler(kind, at.name));
    }
    for (const kind of plugin.drivers ?? []) {
      take('driver', kind.kind, at.name);
      drivers.push(makeDriver(kind, at.name, setting, clock));
    }
    for (const evaluator of plugin.evaluators ?? []) {
      take('evaluator', evaluator.kind, at.name);
      evaluators.push({ plugin: at.name, evaluator });
    }
    for (const kind of plugin.spaces ?? []) {
      take('space', kind.kind, at.name);
      spaces.push(checkedSpace(kind, at.name));
    }
    for (const kind of plugin.models ?? []) {
      take('model', kind.name, at.name);
      models.push(checkedModel(kind, at.name));
    }
    if ((plugin.spaces ?? []).length + (plugin.models ?? []).length > 0) from.push(at);
    assertKnown(setting, plugin);
    plugins.push({
      name: at.name,
      version: at.version,
      samplers: (plugin.samplers ?? []).map((kind) => kind.name),
      drivers: (plugin.drivers ?? []).map(({ kind }) => kind),
      evaluators: (plugin.evaluators ?? []).map(({ kind }) => kind),
      spaces: (plugin.spaces ?? []).map(({ kind }) => kind),
      models: (plugin.models ?? []).map((kind) => kind.name),
    });
  }
  return { plugins, samplers, drivers, evaluators, pure: { spaces, models, from } };
}

/** One named twice is loaded once; the later entry that sets options counts. */
function onlyOnce(settings: readonly PluginSetting[]): PluginSetting[] {
  const byName = new Map<string, PluginSetting>();
  for (const setting of settings)
    if (setting.drivers || !byName.has(setting.name)) byName.set(setting.name, setting);
  return [...byName.values()];
}

function makeDriver(kind: DriverKind, plugin: string, setting: PluginSetting, clock: Clock): Driver {
  const given = ownOf(setting, kind.kind);
  const [first] = Object.keys(given);
  try {
    if (!kind.readOptions && first !== undefined) throw new Error(`it takes no options, not ${first}`);
    const options = kind.readOptions ? kind.readOptions(given) : {};
    return new CheckedDriver(kind.kind, kind.create(options, { clock }), plugin);
  } catch (thrown) {
    const error = asHildaError(thrown);
    if (error.code !== 'INTERNAL') throw error;
    throw new HildaError('PLUGIN_FAILED', `the driver ${kind.kind} of ${plugin}: ${error.message}`, {
      cause: thrown,
      hint: 'Look at the options of the plug-in in plugins.json: docs/library.md.',
    });
  }
}

const ownOf = ({ drivers = {} }: PluginSetting, kind: string): GivenOptions =>
  Object.hasOwn(drivers, kind) ? (drivers[kind] as GivenOptions) : {};

/** Options of a kind that the plug-in does not bring would be lost without a word. */
function assertKnown({ name: plugin, drivers = {} }: PluginSetting, { drivers: kinds = [] }: Plugin): void {
  const unknown = Object.keys(drivers).filter((word) => !kinds.some(({ kind }) => kind === word));
  if (unknown.length > 0)
    throw new HildaError('USAGE_INVALID', `plugins.json: ${plugin} brings no driver ${unknown.join(', ')}`, {
      hint: `It brings: ${kinds.map(({ kind }) => kind).join(', ') || 'no driver'}.`,
    });
}
