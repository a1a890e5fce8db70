import type { Clock } from '../core/clock.js';
import { checkedModel } from './checked-model.js';
import { checkedSpace } from './checked-space.js';
import type { FoundPlugin } from './find-plugin.js';
import { importPlugin } from './import-plugin.js';
import type { PureParts } from './pure-parts.js';

/** The spaces and models alone, for a thread. Throws PLUGIN_FAILED. */
export async function loadPureParts(from: readonly FoundPlugin[], clock: Clock): Promise<PureParts> {
  const plugins = await Promise.all(from.map(async (at) => ({ at, plugin: await importPlugin(at, clock) })));
  return {
    spaces: plugins.flatMap(({ at, plugin }) =>
      (plugin.spaces ?? []).map((kind) => checkedSpace(kind, at.name)),
    ),
    models: plugins.flatMap(({ at, plugin }) =>
      (plugin.models ?? []).map((kind) => checkedModel(kind, at.name)),
    ),
    from,
  };
}
