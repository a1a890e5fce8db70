import { countCost, type NetworkCost } from '../../../network/cost.js';
import type { Graph } from '../../../network/graph.js';
import type { FreeStats } from '../contract.js';

/** What a network costs before anything is measured: see `FreeStats` for the units. */
export function freeStats(network: Graph | NetworkCost): FreeStats {
  const { macs, parameters, weightBytes, peakActivationBytes } =
    'operators' in network ? network : countCost(network);
  return { macs, parameters, weightBytes, peakActivationBytes };
}
