import { floatTensor, type Node } from '../../../daemon/network/graph.js';
import { scaledGrid } from '../quantise/constant-grid.js';
import { type EditableGraph, fusedNode } from './editable-graph.js';
import type { Shapes } from './fold-constants.js';

/**
 * Folds inference-time normalisation into the convolution before it: w' = w g / sqrt(v + e), b' = (b - m) g / sqrt(v + e)
 * + beta, by output channel (Jacob et al., CVPR 2018, section 3.2). One that stands alone becomes a 1x1 depthwise
 * convolution. Constant scales and shifts a channel behind a convolution are folded in the same way.
 */
export function foldBatchNorm(graph: EditableGraph, shapes: Shapes): void {
  for (const node of graph.nodes) {
    const affine = channelAffine(graph, node, shapes);
    if (!affine) continue;
    const conv = graph.privateProducer(affine.input, 'Conv', node);
    if (conv && graph.floats(conv.inputs[1])) foldInto(graph, conv, node, affine);
    else if (node.op === 'BatchNormalization' && shapes.get(affine.input)?.dims.length === 4)
      standAlone(graph, node, affine);
  }
}

/** The same for normalised vectors: into the columns of the Linear before. Runs once products are Linear. */
export function foldVectorNorm(graph: EditableGraph, shapes: Shapes): void {
  for (const node of graph.nodes) {
    if (node.op !== 'BatchNormalization' || shapes.get(node.outputs[0] as string)?.dims.length !== 2)
      continue;
    const affine = channelAffine(graph, node, shapes);
    const linear = affine && graph.privateProducer(affine.input, 'Linear', node);
    const weight = linear && graph.floats(linear.inputs[1]);
    if (!affine || !linear || !weight) continue;
    const { scale, shift } = affine;
    const name = node.outputs[0] as string;
    const bias = linear.inputs[2] ? graph.floats(linear.inputs[2]) : undefined;
    const width = scale.length;
    const scaled = weight.map((w, i) => w * (scale[i % width] as number));
    const shifted = shift.map((s, c) => s + (bias?.[c] ?? 0) * (scale[c] as number));
    const stored = graph.setConstant(`${name}.weight`, floatTensor([weight.length / width, width], scaled));
    const grid = scaledGrid(graph.grids.get(linear.inputs[1] as string), scale, 1);
    if (grid) graph.grids.set(stored, grid);
    graph.remove([linear]);
    graph.replace(
      node,
      fusedNode(node, 'Linear', [
        linear.inputs[0] as string,
        stored,
        graph.setConstant(`${name}.bias`, floatTensor([width], shifted)),
      ]),
    );
  }
}

interface Affine {
  readonly input: string;
  readonly scale: Float32Array;
  readonly shift: Float32Array;
}

function channelAffine(graph: EditableGraph, node: Node, shapes: Shapes): Affine | undefined {
  if (node.op === 'BatchNormalization') {
    const [gamma, beta, mean, variance] = [1, 2, 3, 4].map((i) => graph.floats(node.inputs[i]));
    if (!gamma || !beta || !mean || !variance) return undefined;
    const epsilon = typeof node.attributes.epsilon === 'number' ? node.attributes.epsilon : 1e-5;
    const scale = gamma.map((g, c) => g / Math.sqrt((variance[c] as number) + epsilon));
    const shift = beta.map((b, c) => b - (mean[c] as number) * (scale[c] as number));
    return { input: node.inputs[0] as string, scale, shift };
  }
  if (node.op !== 'Mul' && node.op !== 'Add') return undefined;
  const at = node.inputs.findIndex((name) => graph.floats(name));
  if (at < 0) return undefined;
  const input = node.inputs[1 - at] as string;
  const channels = shapes.get(input)?.dims[1];
  const dims = graph.constant(node.inputs[at])?.dims ?? [];
  const values = graph.floats(node.inputs[at]) as Float32Array;
  if (!channels || graph.producer(input)?.op !== 'Conv') return undefined;
  // [C, 1, 1] or [1, C, 1, 1] is a channel's own value; one element is everybody's.
  const perChannel = dims.length >= 3 && dims.at(-3) === channels && values.length === channels;
  if (!perChannel && values.length !== 1) return undefined;
  const spread = perChannel ? values : new Float32Array(channels).fill(values[0] as number);
  return node.op === 'Mul'
    ? { input, scale: spread, shift: new Float32Array(channels) }
    : { input, scale: new Float32Array(channels).fill(1), shift: spread };
}

function foldInto(graph: EditableGraph, conv: Node, node: Node, { scale, shift }: Affine): void {
  const weight = graph.floats(conv.inputs[1]) as Float32Array;
  const dims = graph.constant(conv.inputs[1])?.dims ?? [];
  const perChannel = weight.length / scale.length;
  const name = node.outputs[0] as string;
  const scaled = weight.map((w, i) => w * (scale[Math.floor(i / perChannel)] as number));
  const bias = conv.inputs[2] ? graph.floats(conv.inputs[2]) : undefined;
  const shifted = shift.map((s, c) => s + (bias?.[c] ?? 0) * (scale[c] as number));
  const stored = graph.setConstant(`${name}.weight`, floatTensor(dims, scaled));
  const grid = scaledGrid(graph.grids.get(conv.inputs[1] as string), scale, 0);
  if (grid) graph.grids.set(stored, grid);
  graph.remove([conv]);
  graph.replace(node, {
    ...conv,
    inputs: [
      conv.inputs[0] as string,
      stored,
      graph.setConstant(`${name}.bias`, floatTensor([shifted.length], shifted)),
    ],
    outputs: [name],
  });
}

function standAlone(graph: EditableGraph, node: Node, { input, scale, shift }: Affine): void {
  const name = node.outputs[0] as string;
  const channels = scale.length;
  const weight = graph.setConstant(`${name}.weight`, floatTensor([channels, 1, 1, 1], scale));
  const bias = graph.setConstant(`${name}.bias`, floatTensor([channels], shift));
  const conv = fusedNode(node, 'Conv', [input, weight, bias], { group: channels, kernel_shape: [1, 1] });
  graph.replace(node, { ...conv, domain: '', outputs: [name] });
}
