import { freshNames } from '../../../daemon/network/fresh-names.js';
import type { Graph } from '../../../daemon/network/graph.js';

const recurrent = new Set(['RNN', 'GRU', 'LSTM']);

/**
 * Gives the output of all steps of each recurrent layer a name where the network leaves it out: calibration then sees the
 * range in which a board holds the layer's state.
 */
export function withNamedStates(graph: Graph): Graph {
  const isNameless = ({ op, domain, outputs }: Graph['nodes'][number]): boolean =>
    domain === '' && recurrent.has(op) && !outputs[0];
  if (!graph.nodes.some(isNameless)) return graph;
  const fresh = freshNames(graph);
  const nodes = graph.nodes.map((node) =>
    isNameless(node) ? { ...node, outputs: [fresh(`${node.op}.states`), ...node.outputs.slice(1)] } : node,
  );
  return { ...graph, nodes };
}
