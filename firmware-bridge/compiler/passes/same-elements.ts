import type { Node } from '../../../daemon/network/graph.js';
import { intAttribute } from '../../../daemon/network/shape-rules/rule.js';
import type { EditableGraph } from './editable-graph.js';

/** Whether a node's output is its input: Identity, and Dropout outside training whose mask nobody reads. */
export function handsOn(graph: EditableGraph, node: Node): boolean {
  return node.op === 'Identity' || (node.op === 'Dropout' && isInferenceDropout(graph, node));
}

/** Up to opset 6 `is_test` says so; from 12 on an input may ask for training; between, inference is all there is. */
function isInferenceDropout(graph: EditableGraph, node: Node): boolean {
  const mask = node.outputs[1];
  if (mask && (graph.isOutput(mask) || graph.consumers(mask).length > 0)) return false;
  if (graph.opset < 7) return intAttribute(node, 'is_test', 0) !== 0;
  if (!node.inputs[2]) return true;
  const training = graph.constant(node.inputs[2]);
  return training ? training.data.every((byte) => byte === 0) : false;
}
