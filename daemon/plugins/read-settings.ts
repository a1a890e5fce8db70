import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { HildaError } from '../core/errors.js';
import type { PluginSetting } from './load-plugins.js';

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
  const file = fileSchema.safeParse(await contentOf(path));
  if (!file.success)
    throw new HildaError('USAGE_INVALID', `${path} is not valid: ${z.prettifyError(file.error)}`, {
      hint: 'docs/library.md shows what it holds.',
    });
  return {
    plugins: [...file.data.plugins, ...names.map((name) => ({ name }))],
    folders: [...folders, ...file.data.folders, join(dataDir, 'plugins')],
  };
}

async function contentOf(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw new HildaError('USAGE_INVALID', `${path} cannot be read: ${(thrown as Error).message}`, {
      cause: thrown,
    });
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new HildaError('USAGE_INVALID', `${path} is no JSON: ${(cause as Error).message}`, { cause });
  }
}
