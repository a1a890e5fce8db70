import { readFileSync, realpathSync } from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';
import { HildaError } from '../core/errors.js';
import { pluginContract } from './contract.js';

/** An installed package that says that it is a plug-in. */
export interface FoundPlugin {
  readonly name: string;
  readonly version: string;
  /** Address of the module to import. */
  readonly entry: string;
}

/** Names as npm gives them: no path leads out of node_modules. */
const packageName = /^(?:@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~-][a-z0-9._~-]*$/;

const manifestSchema = z.object({
  name: z.string(),
  version: z.string().max(100),
  hilda: z.object({ contract: z.number(), plugin: z.string().min(1) }),
});

/**
 * Finds a plug-in by its package name in `node_modules` of the given folders, the first that holds it, and nowhere else:
 * folders above them and the present folder are not looked at. Runs no code of it. Throws USAGE_INVALID, PLUGIN_MISSING,
 * PLUGIN_UNSUPPORTED, PLUGIN_FAILED.
 */
export function findPlugin(name: string, folders: readonly string[]): FoundPlugin {
  if (!packageName.test(name))
    throw new HildaError('USAGE_INVALID', `${JSON.stringify(name)} is no name of a package`, {
      hint: 'Plug-ins load by the name of an installed package, for example hilda-sampler-annealing.',
    });
  for (const folder of folders) {
    const found = readPlugin(join(resolve(folder), 'node_modules', name), name);
    if (found) return found;
  }
  throw new HildaError('PLUGIN_MISSING', `the plug-in ${name} is not installed in ${folders.join(' or ')}`, {
    hint: `For example: npm install --prefix ${folders[0] ?? '.'} ${name}`,
    details: { name, folders },
  });
}

/** Undefined where no package is. */
function manifestOf(place: string): string | undefined {
  try {
    return readFileSync(join(place, 'package.json'), 'utf8');
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new HildaError('PLUGIN_FAILED', `${place} cannot be read: ${(thrown as Error).message}`, {
      cause: thrown,
    });
  }
}

/** The plug-in in a folder, by its package.json; undefined where none is. Throws PLUGIN_UNSUPPORTED, PLUGIN_FAILED. */
export function readPlugin(place: string, name = place): FoundPlugin | undefined {
  const text = manifestOf(place);
  if (text === undefined) return undefined;
  const failed = (why: string, cause?: unknown): HildaError =>
    new HildaError('PLUGIN_FAILED', `the package ${name}: ${why}`, { cause, details: { name, place } });
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (cause) {
    throw failed('its package.json is no JSON', cause);
  }
  const parsed = manifestSchema.safeParse(content);
  if (!parsed.success)
    throw failed(
      'it is no plug-in: its package.json has no `"hilda": {"contract": 1, "plugin": "./file.js"}`',
    );
  const { version, hilda } = parsed.data;
  const installed = parsed.data.name;
  if (hilda.contract !== pluginContract)
    throw new HildaError(
      'PLUGIN_UNSUPPORTED',
      `the plug-in ${name} ${version} is written for contract ${hilda.contract}, this hilda has ${pluginContract}`,
      { details: { name, version, contract: hilda.contract, supported: pluginContract } },
    );
  // A package that was linked lies elsewhere; its own folder is what its files must stay in.
  const folder = realpathSync(place);
  let entry: string;
  try {
    entry = realpathSync(join(folder, hilda.plugin));
  } catch (cause) {
    throw failed(`its file ${hilda.plugin} is missing`, cause);
  }
  const within = relative(folder, entry);
  if (within === '..' || within.startsWith(`..${sep}`))
    throw failed(`${hilda.plugin} leads out of its folder`);
  return { name: installed, version, entry: pathToFileURL(entry).href };
}
