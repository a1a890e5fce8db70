import { networkHashes } from '../network/canonical-text.js';
import { countKnownCost } from '../network/cost.js';
import type { Graph } from '../network/graph.js';
import { weightBytesOf } from '../network/weights.js';

/** What a measurement says of its network, known without running it. */
export interface NetworkFacts {
  readonly structureHash: string;
  readonly weightsHash: string;
  readonly weightBytes: number;
  /** Null for operators whose cost cannot be counted: the runtime may still know them. */
  readonly macs: number | null;
}

export function networkFacts(network: Graph): NetworkFacts {
  return {
    ...networkHashes(network),
    weightBytes: weightBytesOf(network),
    macs: macsOf(network),
  };
}

function macsOf(network: Graph): number | null {
  try {
    return countKnownCost(network).macs;
  } catch {
    return null;
  }
}
