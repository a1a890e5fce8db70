import { join } from 'node:path';
import { z } from 'zod';
import { HildaError } from '../core/errors.js';
import type { PluginSetting } from './load-plugins.js';
import { readOwnJson } from './read-own-json.js';

const settingSchema = z.union([
  z.string().transform((name): PluginSetting => ({ name })),
  z.strictObject({
    name: z.string(),
    drivers: z.record(z.string(), z.record(z.string(), z.unknown())).optional(),
  }),
]);

const fileSchema = z.strictObject({
  plugins: z.array(settingSchema).max(100).default([]),
  folders: z.array(z.string().min(1)).max(100).default([]),
});

export interface PluginSettings {
  readonly plugins: readonly PluginSetting[];
  /** Whose `node_modules` hold them. */
  readonly folders: readonly string[];
}

/**
 * What the person who starts a daemon or an agent names: in `plugins.json` of its data folder, then on the command line.
 * Packages are looked for in the folders that are named, then in `plugins` of the data folder. No request over the network
 * writes there. Throws USAGE_INVALID for a file that is not as docs/library.md says.
 */
export async function readPluginSettings(
  dataDir: string,
  { names = [], folders = [] }: { readonly names?: readonly string[]; readonly folders?: readonly string[] },
): Promise<PluginSettings> {
  const path = join(dataDir, 'plugins.json');
  const file = fileSchema.safeParse((await readOwnJson(path)) ?? {});
  if (!file.success)
    throw new HildaError('USAGE_INVALID', `${path} is not valid: ${z.prettifyError(file.error)}`, {
      hint: 'docs/library.md shows what it holds.',
    });
  return {
    plugins: [...file.data.plugins, ...names.map((name) => ({ name }))],
    folders: [...folders, ...file.data.folders, join(dataDir, 'plugins')],
  };
}
