import { countKnownCost } from '../network/cost.js';
import type { Graph } from '../network/graph.js';

/** Peak activation bytes as planned from the graph; null where a shape is not known. */
export const plannedActivationBytes = (network: Graph): number | null =>
  countKnownCost(network).peakActivationBytes;

/** What `memorySource` of a manifest says of a planned figure. */
export const plannedSource = (bytes: number | null): string =>
  bytes === null
    ? 'unknown: the network holds operators whose shapes are not known'
    : 'planned from the graph';
