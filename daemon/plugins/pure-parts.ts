import type { CostModel } from '../predict/picker/other-models.js';
import type { SpacePlugin } from '../search/spaces/registry.js';
import type { FoundPlugin } from './find-plugin.js';

/** What plug-ins add to code without I/O. */
export interface PureParts {
  readonly spaces: readonly SpacePlugin[];
  readonly models: readonly CostModel[];
  /** Where another thread loads the same from. */
  readonly from: readonly FoundPlugin[];
}

export const noParts: PureParts = { spaces: [], models: [], from: [] };
