import type { Graph, Node } from '../network/graph.js';
import { intAttribute } from '../network/shape-rules/rule.js';

/** Operators that hand whole numbers on as they are, in other shapes or types. */
const handsOn = new Set([
  'Cast',
  'Identity',
  'Reshape',
  'Flatten',
  'Squeeze',
  'Unsqueeze',
  'Transpose',
  'Slice',
  'Concat',
  'Expand',
]);

/**
 * How many rows the smallest constant table has that an input of whole numbers is an index into: valid values are 0 to
 * one less. Undefined where nothing reads it so.
 */
export function indexBound(graph: Graph, input: string): number | undefined {
  const readers = new Map<string, Node[]>();
  for (const node of graph.nodes)
    for (const name of new Set(node.inputs)) readers.set(name, [...(readers.get(name) ?? []), node]);
  const seen = new Set<string>();
  const bounds: number[] = [];
  const visit = (name: string): void => {
    if (seen.has(name)) return;
    seen.add(name);
    for (const node of readers.get(name) ?? []) {
      const rows = node.inputs[1] === name ? tableRows(graph, node) : undefined;
      if (rows !== undefined) bounds.push(rows);
      else if (handsOn.has(node.op)) for (const output of node.outputs) visit(output);
    }
  };
  visit(input);
  return bounds.length > 0 ? Math.min(...bounds) : undefined;
}

function tableRows({ initializers }: Graph, node: Node): number | undefined {
  if (node.op !== 'Gather' && node.op !== 'GatherElements') return undefined;
  const dims = initializers.get(node.inputs[0] as string)?.dims;
  const axis = intAttribute(node, 'axis', 0);
  return dims?.[axis < 0 ? axis + dims.length : axis];
}
