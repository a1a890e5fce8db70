import type { Node } from '../../../daemon/network/graph.js';
import { axisOf, intAttribute, intsAttribute } from '../../../daemon/network/shape-rules/rule.js';

/**
 * The axes that a Reduce operator reduces, in order: an attribute, or from opset 13 (ReduceSum) or 18 on an input. None
 * given means all, or none with `noop_with_empty_axes`. Undefined where they are not constant.
 */
export function reducedAxes(
  node: Node,
  rank: number,
  integers: (name: string | undefined) => readonly number[] | undefined,
): readonly number[] | undefined {
  const given = intsAttribute(node, 'axes') ?? (node.inputs[1] ? integers(node.inputs[1]) : []);
  if (!given) return undefined;
  if (given.length > 0)
    return [...new Set(given.map((axis) => axisOf(node, axis, rank)))].sort((a, b) => a - b);
  const isNoop = intAttribute(node, 'noop_with_empty_axes', 0) !== 0;
  return isNoop ? [] : Array.from({ length: rank }, (_, axis) => axis);
}
