import { elementCount, floatsOf, type Graph, type Node } from '../network/graph.js';
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

/** What a QuantizeLinear of int8 or uint8 that reads an input tells apart: a range of real numbers. */
export function pairRange(
  { nodes, initializers }: Graph,
  input: string,
): readonly [number, number] | undefined {
  const pair = nodes.find(({ op, inputs }) => op === 'QuantizeLinear' && inputs[0] === input);
  const [scale, zero] = (pair?.inputs.slice(1) ?? []).map((name) => initializers.get(name));
  if (scale?.dtype !== 'float32' || elementCount(scale.dims) !== 1) return undefined;
  const type = zero?.dtype ?? 'uint8';
  const [byte = 0] = zero?.data ?? [];
  if (type !== 'int8' && type !== 'uint8') return undefined;
  const [step] = floatsOf(scale) as Float32Array & [number];
  const middle = type === 'int8' ? (byte << 24) >> 24 : byte;
  const low = type === 'int8' ? -128 : 0;
  return [step * (low - middle), step * (low + 255 - middle)];
}
