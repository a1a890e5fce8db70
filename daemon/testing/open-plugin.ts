import { systemClock } from '../core/clock.js';
import { HildaError } from '../core/errors.js';
import type { Driver } from '../devices/contract.js';
import type { Evaluator } from '../evaluate/contract.js';
import { openPluginEvaluator } from '../evaluate/plugin-evaluator.js';
import { evaluatorKinds } from '../evaluate/registry.js';
import type { GivenOptions } from '../plugins/contract.js';
import { readPlugin } from '../plugins/find-plugin.js';
import { type LoadedPlugin, runPlugins } from '../plugins/load-plugins.js';
import type { CostModel } from '../predict/picker/other-models.js';
import type { Sampler } from '../search/samplers/contract.js';
import type { Space } from '../search/spaces/contract.js';
import { loadSpace } from '../search/spaces/registry.js';

/** A plug-in as a daemon has it: every answer is checked. */
export interface OpenedPlugin extends LoadedPlugin {
  /** A new sampler. Throws SAMPLER_UNKNOWN, SPEC_INVALID. */
  sampler(name: string, options?: GivenOptions): Sampler;
  /** Throws NOT_FOUND. */
  driver(kind: string): Driver;
  /** A new evaluator for networks of a space. Throws NOT_FOUND, SPEC_INVALID, PLUGIN_FAILED. */
  evaluator(kind: string, space: Space, options?: GivenOptions): Promise<Evaluator>;
  /** The space of a file: `{ kind, id, ... }`. Throws SPACE_INVALID, PLUGIN_FAILED. */
  space(file: GivenOptions): Space;
  /** Throws NOT_FOUND. */
  model(name: string): CostModel;
}

/**
 * Loads the plug-in whose package.json lies in the folder, for the tests of its own project. `drivers`: options of its drivers by
 * their kind. Throws NOT_FOUND, and what `hilda up --plugin` would end with.
 */
export async function openPlugin(
  folder: string,
  { drivers }: { readonly drivers?: Readonly<Record<string, GivenOptions>> } = {},
): Promise<OpenedPlugin> {
  const at = readPlugin(folder);
  if (!at) throw new HildaError('NOT_FOUND', `there is no package.json in ${folder}`);
  const loaded = await runPlugins([{ setting: { name: at.name, drivers }, at }], {
    clock: systemClock,
    evaluatorKinds,
  });
  const [plugin] = loaded.plugins as [LoadedPlugin];
  return {
    ...plugin,
    sampler: (word, options = {}) => {
      const found = loaded.samplers.find((one) => one.name === word);
      if (!found) throw new HildaError('SAMPLER_UNKNOWN', `${at.name} brings no sampler ${word}`);
      return found.create(options);
    },
    driver: (kind) => {
      const found = loaded.drivers.find((one) => one.kind === kind);
      if (!found) throw new HildaError('NOT_FOUND', `${at.name} brings no driver ${kind}`);
      return found;
    },
    evaluator: async (kind, space, options = {}) => {
      const found = loaded.evaluators.find(({ evaluator }) => evaluator.kind === kind);
      if (!found) throw new HildaError('NOT_FOUND', `${at.name} brings no evaluator ${kind}`);
      return openPluginEvaluator(found, options, { space });
    },
    space: (file) => loadSpace(file, undefined, loaded.pure.spaces),
    model: (word) => {
      const found = loaded.pure.models.find((one) => one.name === word);
      if (!found) throw new HildaError('NOT_FOUND', `${at.name} brings no model ${word}`);
      return found;
    },
  };
}
