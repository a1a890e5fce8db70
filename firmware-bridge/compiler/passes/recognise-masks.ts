import { elementCount, floatTensor, type Node, type Tensor } from '../../../daemon/network/graph.js';
import { intAttribute } from '../../../daemon/network/shape-rules/rule.js';
import { broadcastIndex } from './broadcast.js';
import type { EditableGraph } from './editable-graph.js';
import type { Shapes } from './fold-constants.js';

/** A score so much lower has no share of a softmax in float32, at any value. */
const hidden = -1e4;

/**
 * A constant mask added to the scores of a softmax becomes a choice: the score (plus what the mask adds to it), or minus
 * infinity. As a sum it would leave int8 no steps for the scores. A row that is hidden whole is left as it is: what it
 * answers depends on the mask's numbers.
 */
export function recogniseMasks(graph: EditableGraph, shapes: Shapes): void {
  for (const node of graph.nodes) {
    if (node.op !== 'Add') continue;
    const at = node.inputs.findIndex((name) => graph.floats(name));
    const mask = graph.floats(node.inputs[at]);
    const [scores, name] = [node.inputs[1 - at] as string, node.outputs[0] as string];
    const dims = shapes.get(name)?.dims;
    if (!mask?.some((value) => value <= hidden) || !dims || `${shapes.get(scores)?.dims}` !== `${dims}`)
      continue;
    const own = graph.constant(node.inputs[at])?.dims ?? [];
    if (graph.constant(scores) || !isLastSoftmax(graph, graph.onlyConsumer(name), dims.length)) continue;
    if (!everyRowShows(mask, own, dims)) continue;
    graph.replace(node, ...chosen(graph, node, { scores, mask, own, dims }));
  }
}

function isLastSoftmax(graph: EditableGraph, node: Node | undefined, rank: number): boolean {
  if (node?.op !== 'Softmax') return false;
  const axis = intAttribute(node, 'axis', graph.opset < 13 ? 1 : -1);
  return axis === -1 || axis === rank - 1;
}

function everyRowShows(mask: Float32Array, own: readonly number[], dims: readonly number[]): boolean {
  const at = broadcastIndex(own, dims);
  const width = dims.at(-1) as number;
  for (let row = 0; row < elementCount(dims); row += width) {
    let shows = false;
    for (let i = row; i < row + width && !shows; i++) shows = (mask[at(i)] as number) > hidden;
    if (!shows) return false;
  }
  return true;
}

function chosen(
  graph: EditableGraph,
  node: Node,
  {
    scores,
    mask,
    own,
    dims,
  }: { scores: string; mask: Float32Array; own: readonly number[]; dims: readonly number[] },
): Node[] {
  const name = node.outputs[0] as string;
  const shows: Tensor = {
    dtype: 'bool',
    dims: own,
    data: Uint8Array.from(mask, (v) => (v > hidden ? 1 : 0)),
  };
  const condition = graph.addConstant(`${name}.shows`, shows);
  const lowest = graph.addConstant(`${name}.lowest`, floatTensor([], [Number.NEGATIVE_INFINITY]));
  const added = mask.map((value) => (value > hidden ? value : 0));
  const choose = (from: string): Node => ({ ...node, op: 'Where', inputs: [condition, from, lowest] });
  if (added.every((value) => value === 0)) return [choose(scores)];
  const [least, most] = extremes(added);
  const sum = graph.makeValue(`${name}.scores`, {
    dims,
    range: (rangeOf) => {
      const range = rangeOf(scores);
      return range && { min: range.min + least, max: range.max + most };
    },
  });
  const shift = graph.addConstant(`${name}.shift`, floatTensor(own, added));
  return [{ ...node, inputs: [scores, shift], outputs: [sum] }, choose(sum)];
}

const extremes = (values: Float32Array): readonly [number, number] =>
  values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)] as [number, number], [0, 0]);
