import { freshNames } from '../network/fresh-names.js';
import type { Graph, Node } from '../network/graph.js';
import { intAttribute } from '../network/shape-rules/rule.js';

const recurrent = new Set(['RNN', 'GRU', 'LSTM']);
/** Batch and time, or batch and direction, change places. */
const swapped = [1, 0, 2];
/** [time, direction, batch, unit] to [batch, time, direction, unit]. */
const batchFirst = [2, 0, 1, 3];

/**
 * Recurrent layers with the batch first (`layout` 1), which onnxruntime does not run, as layers with the time first between
 * transposes. Every value keeps its name and meaning; the same graph where there is none.
 */
export function timeFirst(graph: Graph): Graph {
  const isBatchFirst = (node: Node): boolean =>
    node.domain === '' && recurrent.has(node.op) && intAttribute(node, 'layout', 0) === 1;
  if (!graph.nodes.some(isBatchFirst)) return graph;
  const fresh = freshNames(graph);
  const turned = (input: string, output: string, perm: readonly number[]): Node => ({
    name: fresh(`${output}.turned`),
    op: 'Transpose',
    domain: '',
    inputs: [input],
    outputs: [output],
    attributes: { perm },
  });
  const nodes = graph.nodes.flatMap((node) => {
    if (!isBatchFirst(node)) return [node];
    const { layout: _, ...attributes } = node.attributes;
    const [before, behind]: [Node[], Node[]] = [[], []];
    // Input, and the states that the layer starts from.
    const inputs = node.inputs.map((name, i) => {
      if (name === '' || ![0, 5, 6].includes(i)) return name;
      const made = fresh(`${name}.first`);
      before.push(turned(name, made, swapped));
      return made;
    });
    const outputs = node.outputs.map((name, i) => {
      if (name === '') return name;
      const made = fresh(`${name}.first`);
      behind.push(turned(made, name, i === 0 ? batchFirst : swapped));
      return made;
    });
    return [...before, { ...node, attributes, inputs, outputs }, ...behind];
  });
  return { ...graph, nodes };
}
