import { asHildaError } from '../core/errors.js';
import { countCost } from '../network/cost.js';
import type { Graph } from '../network/graph.js';

/** Peak activation bytes as planned from the graph; null where an operator or a shape is not known. */
export function plannedActivationBytes(network: Graph): number | null {
  try {
    return countCost(network).peakActivationBytes;
  } catch (thrown) {
    const error = asHildaError(thrown);
    if (error.code === 'OPERATOR_UNSUPPORTED' || error.code === 'SHAPE_UNKNOWN') return null;
    throw error;
  }
}

/** What `memorySource` of a manifest says of a planned figure. */
export const plannedSource = (bytes: number | null): string =>
  bytes === null
    ? 'unknown: the network holds operators whose shapes are not known'
    : 'planned from the graph';
