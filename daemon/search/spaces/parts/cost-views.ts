import type { Architecture } from '../../../core/architecture.js';
import { byOperatorType } from '../../../predict/features/by-type.js';
import type { Space } from '../contract.js';

type Features = ReadonlyMap<string, number>;

/**
 * What an architecture's cost may follow, the likeliest first: the space's own views; else its operators by type, each
 * operator and shape apart, and its decisions.
 */
export function costViews(space: Space, architecture: Architecture): Readonly<Record<string, Features>> {
  const own = space.views?.(architecture);
  if (own) return own;
  const operators = space.features(architecture);
  return { types: byOperatorType(operators), operators, decisions: decisionFeatures(space, architecture) };
}

/** The space's own description, one-hot decisions, or cost features where a space has no fixed dimensions. */
export function decisionFeatures(space: Space, architecture: Architecture): Features {
  if (space.decisions) return space.decisions(architecture);
  if (!space.dims || !Array.isArray(architecture)) return space.features(architecture);
  return new Map(
    space.dims.map((dim, i) => [
      `${dim.name}=${dim.choices[(architecture as readonly number[])[i] as number]}`,
      1,
    ]),
  );
}
