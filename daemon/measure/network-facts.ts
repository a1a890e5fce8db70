import { structureHash, weightsHash } from '../network/canonical-text.js';
import { countCost } from '../network/cost.js';
import type { Graph } from '../network/graph.js';

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
    structureHash: structureHash(network),
    weightsHash: weightsHash(network),
    weightBytes: [...network.initializers.values()].reduce((sum, tensor) => sum + tensor.data.byteLength, 0),
    macs: macsOf(network),
  };
}

function macsOf(network: Graph): number | null {
  try {
    return countCost(network).macs;
  } catch {
    return null;
  }
}
