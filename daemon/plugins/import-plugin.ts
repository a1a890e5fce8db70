import { z } from 'zod';
import type { Clock } from '../core/clock.js';
import { asHildaError, HildaError } from '../core/errors.js';
import { within } from '../core/within.js';
import { pluginApi } from './api.js';
import type { Plugin, PluginFactory } from './contract.js';
import type { FoundPlugin } from './find-plugin.js';

/** How long the module of a plug-in may take to load. */
const loadMs = 60_000;

const name = z.string().regex(/^[a-z][a-z0-9-]{0,63}$/, 'lower-case letters, digits and hyphens');
const method = z.custom<(...args: never[]) => unknown>((value) => typeof value === 'function', 'a function');
const pluginSchema = z.strictObject({
  samplers: z
    .array(z.looseObject({ name, create: method, readOptions: method.optional() }))
    .max(100)
    .default([]),
  drivers: z
    .array(z.looseObject({ kind: name, create: method, readOptions: method.optional() }))
    .max(100)
    .default([]),
  evaluators: z
    .array(z.looseObject({ kind: name, create: method, readOptions: method.optional() }))
    .max(100)
    .default([]),
  spaces: z
    .array(z.looseObject({ kind: name, create: method, readFile: method.optional() }))
    .max(100)
    .default([]),
  models: z
    .array(z.looseObject({ name, minimumSamples: z.number().int().min(2).max(1e6), fit: method }))
    .max(20)
    .default([]),
});

/** Runs the module of a plug-in. Throws PLUGIN_FAILED. */
export async function importPlugin(
  { name: plugin, version, entry }: FoundPlugin,
  clock: Clock,
): Promise<Plugin> {
  const failed = (why: string, cause?: unknown): HildaError =>
    new HildaError('PLUGIN_FAILED', `the plug-in ${plugin} ${version} ${why}`, { cause });
  const loading = async (): Promise<unknown> => {
    const { default: make } = (await import(entry)) as { readonly default?: unknown };
    if (typeof make !== 'function') throw failed('has no function as its default export');
    return (make as PluginFactory)(pluginApi);
  };
  const late = (): HildaError => failed(`did not load within ${loadMs / 1000} s`);
  let made: unknown;
  try {
    made = await within(loadMs, late, loading(), clock);
  } catch (thrown) {
    const error = asHildaError(thrown);
    throw error.code === 'PLUGIN_FAILED' ? error : failed(`threw on load: ${error.message}`, thrown);
  }
  const parsed = pluginSchema.safeParse(made);
  if (!parsed.success) throw failed(`is no plug-in: ${z.prettifyError(parsed.error)}`);
  return made as Plugin;
}
