import type { Node } from '../../../daemon/network/graph.js';
import { intAttribute } from '../../../daemon/network/shape-rules/rule.js';
import type { EditableGraph } from './editable-graph.js';
import type { Shapes } from './fold-constants.js';
import { alongAxis } from './vector-constants.js';

/** y = scale x + shift, by the index along one axis. */
export interface Affine {
  readonly input: string;
  readonly scale: Float32Array;
  readonly shift: Float32Array;
}

/** Sum, difference, product or quotient of a value and a constant that differs along `axis` alone. */
export function constantAffine(
  graph: EditableGraph,
  node: Node,
  axis: (rank: number) => number,
  shapes: Shapes,
): Affine | undefined {
  if (!['Add', 'Sub', 'Mul', 'Div'].includes(node.op) || node.inputs.length !== 2) return undefined;
  const at = node.inputs.findIndex((name) => graph.constant(name));
  const input = node.inputs[1 - at] as string;
  const dims = shapes.get(input)?.dims;
  if (at < 0 || !dims || graph.constant(input)) return undefined;
  const values = alongAxis(graph, node.inputs[at], dims, axis(dims.length));
  if (!values?.every(Number.isFinite)) return undefined;
  const [ones, zeros] = [new Float32Array(values.length).fill(1), new Float32Array(values.length)];
  switch (node.op) {
    case 'Add':
      return { input, scale: ones, shift: values };
    case 'Sub':
      return at === 1
        ? { input, scale: ones, shift: values.map((v) => -v) }
        : { input, scale: ones.fill(-1), shift: values };
    case 'Mul':
      return { input, scale: values, shift: zeros };
    default:
      return at === 1 && !values.includes(0)
        ? { input, scale: values.map((v) => 1 / v), shift: zeros }
        : undefined;
  }
}

/**
 * Inference-time BatchNormalization by its constants; undefined where they are none, and for the forms that do not
 * normalise by channel constants: training, and statistics by element (`spatial` 0, up to opset 8).
 */
export function batchNormAffine(graph: EditableGraph, node: Node, shapes: Shapes): Affine | undefined {
  if (node.op !== 'BatchNormalization') return undefined;
  const isTraining =
    intAttribute(node, 'training_mode', 0) !== 0 ||
    (graph.opset < 7 && intAttribute(node, 'is_test', 0) === 0) ||
    node.outputs.slice(1).some((name) => name && (graph.isOutput(name) || graph.consumers(name).length > 0));
  if (isTraining || intAttribute(node, 'spatial', 1) === 0) return undefined;
  const input = node.inputs[0] as string;
  const channels = shapes.get(input)?.dims[1];
  const [gamma, beta, mean, variance] = [1, 2, 3, 4].map((i) => graph.floats(node.inputs[i]));
  if (!gamma || !beta || !mean || !variance) return undefined;
  if ([gamma, beta, mean, variance].some(({ length }) => length !== channels)) return undefined;
  const epsilon = typeof node.attributes.epsilon === 'number' ? node.attributes.epsilon : 1e-5;
  const scale = gamma.map((g, c) => g / Math.sqrt((variance[c] as number) + epsilon));
  const shift = beta.map((b, c) => b - (mean[c] as number) * (scale[c] as number));
  return { input, scale, shift };
}
