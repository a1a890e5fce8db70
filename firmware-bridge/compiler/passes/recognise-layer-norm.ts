import { floatTensor, type Node } from '../../../daemon/network/graph.js';
import { intAttribute } from '../../../daemon/network/shape-rules/rule.js';
import { type EditableGraph, fusedNode } from './editable-graph.js';
import type { Shapes } from './fold-constants.js';
import { reducedAxes } from './reduced-axes.js';
import { alongAxis } from './vector-constants.js';

/**
 * Layer normalisation spelt out (before opset 17): d = x - mean(x); d / sqrt(mean(d^2) + e), then scale and shift. The
 * node that results is ONNX's own LayerNormalization over the last axis. Means over other axes are left as they are.
 */
export function recogniseLayerNorm(graph: EditableGraph, shapes: Shapes): void {
  for (const old of graph.nodes) {
    const div = graph.producer(old.outputs[0]);
    const found = div?.op === 'Div' ? normalised(graph, div, shapes) : undefined;
    if (!div || !found) continue;
    const { x, epsilon, dims } = found;
    const width = dims.at(-1) as number;
    // Scale and shift follow where the exporter wrote them.
    const behind = (value: string, op: string): { node: Node; values: Float32Array } | undefined => {
      const node = graph.onlyConsumer(value);
      const constant = node?.op === op ? node.inputs.find((name) => name !== value) : undefined;
      const values = alongAxis(graph, constant, dims, dims.length - 1);
      return node && values ? { node, values } : undefined;
    };
    const value = div.outputs[0] as string;
    const scale = behind(value, 'Mul');
    const shift = behind(scale?.node.outputs[0] ?? value, 'Add');
    const last = shift?.node ?? scale?.node ?? div;
    const name = last.outputs[0] as string;
    const constants = [
      graph.addConstant(
        `${name}.scale`,
        floatTensor([width], scale?.values ?? new Float32Array(width).fill(1)),
      ),
      graph.addConstant(`${name}.shift`, floatTensor([width], shift?.values ?? new Float32Array(width))),
    ];
    const node = fusedNode(last, 'LayerNormalization', [x, ...constants], { axis: -1, epsilon });
    graph.replace(last, { ...node, domain: '' });
  }
}

/** What a quotient normalises over its last axis; undefined where any part of the pattern says something else. */
function normalised(
  graph: EditableGraph,
  div: Node,
  shapes: Shapes,
): { readonly x: string; readonly epsilon: number; readonly dims: readonly number[] } | undefined {
  const centred = div.inputs[0] as string;
  const sub = graph.producer(centred);
  const root = graph.producer(div.inputs[1]);
  const sum = root?.op === 'Sqrt' ? graph.producer(root.inputs[0]) : undefined;
  if (sub?.op !== 'Sub' || sum?.op !== 'Add') return undefined;
  const x = sub.inputs[0] as string;
  const at = sum.inputs.findIndex((name) => graph.floats(name)?.length === 1);
  const epsilon = graph.floats(sum.inputs[at])?.[0];
  const dims = shapes.get(x)?.dims;
  const same = shapes.get(div.outputs[0] as string)?.dims;
  if (epsilon === undefined || !dims || `${dims}` !== `${same}`) return undefined;
  const mean = graph.producer(sub.inputs[1]);
  const variance = graph.producer(sum.inputs[1 - at]);
  const rank = dims.length;
  if (!isLastMean(graph, mean, rank) || mean.inputs[0] !== x || !isLastMean(graph, variance, rank))
    return undefined;
  return isSquareOf(graph, variance.inputs[0] as string, centred) ? { x, epsilon, dims } : undefined;
}

/** A mean over the last axis alone, which stays as an axis of one element. */
function isLastMean(graph: EditableGraph, node: Node | undefined, rank: number): node is Node {
  if (node?.op !== 'ReduceMean' || intAttribute(node, 'keepdims', 1) === 0) return false;
  const axes = reducedAxes(node, rank, (name) => graph.integers(name));
  return axes?.length === 1 && axes[0] === rank - 1;
}

function isSquareOf(graph: EditableGraph, value: string, of: string): boolean {
  const node = graph.producer(value);
  if (node?.inputs[0] !== of) return false;
  return (
    (node.op === 'Pow' && graph.scalar(node.inputs[1]) === 2) || (node.op === 'Mul' && node.inputs[1] === of)
  );
}
