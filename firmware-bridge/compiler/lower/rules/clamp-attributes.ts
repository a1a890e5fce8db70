import type { Node } from '../../../../daemon/network/graph.js';

/** The limits that `fuseClamps` left on a node. */
export function clampAttributes({ attributes: { min, max } }: Node): {
  readonly min: number | undefined;
  readonly max: number | undefined;
} {
  return {
    min: typeof min === 'number' ? min : undefined,
    max: typeof max === 'number' ? max : undefined,
  };
}
