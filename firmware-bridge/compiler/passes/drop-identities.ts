import type { EditableGraph } from './editable-graph.js';
import { handsOn } from './same-elements.js';

/** Removes nodes that hand on what they get; the network's outputs keep their names. */
export function dropIdentities(graph: EditableGraph): void {
  for (const old of graph.nodes) {
    const node = graph.producer(old.outputs[0]);
    if (!node || !handsOn(graph, node)) continue;
    const [from, to] = [node.inputs[0] as string, node.outputs[0] as string];
    if (!graph.isOutput(to)) {
      graph.redirect(to, from);
      graph.remove([node]);
    } else if (graph.producer(from) && !graph.isOutput(from)) {
      graph.remove([node]);
      graph.renameOutput(from, to);
    }
  }
}
