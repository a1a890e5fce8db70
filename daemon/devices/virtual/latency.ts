import { type NetworkFacts, networkFacts } from '../../measure/network-facts.js';
import { countCost } from '../../network/cost.js';
import type { Graph } from '../../network/graph.js';

/**
 * Latency of a network on a virtual device of speed 1, microseconds: 20, and 1 for 2,000 multiply-accumulates, 1 for 4,096
 * bytes moved, 2 for each operator. Made up, so that networks of equal operations differ as on real machines.
 */
export function virtualLatencyUs(network: Graph): number {
  const known = latencies.get(network);
  if (known !== undefined) return known;
  const { macs, bytesMoved } = countCost(network);
  const us = 20 + macs / 2000 + bytesMoved / 4096 + 2 * network.nodes.length;
  latencies.set(network, us);
  return us;
}

/** Facts of a network, hashed once. */
export function virtualFacts(network: Graph): NetworkFacts {
  const known = facts.get(network) ?? networkFacts(network);
  facts.set(network, known);
  return known;
}

/** Graphs do not change. */
const latencies = new WeakMap<Graph, number>();
const facts = new WeakMap<Graph, NetworkFacts>();
