import type { Architecture } from '../core/architecture.js';
import type { Space } from '../search/spaces/contract.js';

/** The space that holds this architecture alone, so that it trains by itself. */
export function oneArchitecture(space: Space, architecture: Architecture): Space {
  const only = space.normalise(architecture);
  return { ...space, dims: [], size: 1, seeds: () => [only], sample: () => only };
}
