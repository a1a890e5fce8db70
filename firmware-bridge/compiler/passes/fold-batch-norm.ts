import { floatTensor, type Node } from '../../../daemon/network/graph.js';
import { type ConstantGrid, scaledGrid } from '../quantise/constant-grid.js';
import { type Affine, batchNormAffine, constantAffine } from './affine.js';
import { type EditableGraph, fusedNode } from './editable-graph.js';
import type { Shapes } from './fold-constants.js';
import { isLinear } from './fuse-linear.js';

const channelAxis = (): number => 1;
const lastAxis = (rank: number): number => rank - 1;

/**
 * Folds inference-time normalisation into the convolution before it: w' = w g / sqrt(v + e), b' = (b - m) g / sqrt(v + e)
 * + beta, by output channel (Jacob et al., CVPR 2018, section 3.2). Constant scales and shifts a channel behind a
 * convolution are folded in the same way.
 */
export function foldBatchNorm(graph: EditableGraph, shapes: Shapes): void {
  for (const node of graph.nodes) {
    const affine = batchNormAffine(graph, node, shapes) ?? constantAffine(graph, node, channelAxis, shapes);
    const conv = affine && graph.privateProducer(affine.input, 'Conv', node);
    const layer = conv && layerOf(graph, conv);
    if (!affine || !conv || !layer) continue;
    const { weight, bias } = layer;
    const perChannel = weight.length / affine.scale.length;
    const channelOf = (i: number): number => Math.floor(i / perChannel);
    const grid = scaledGrid(graph.grids.get(conv.inputs[1] as string), affine.scale, 0);
    replaceLayer(graph, conv, node, scaledLayer(weight, bias, affine, channelOf), grid);
  }
}

/** The same into the columns of a Linear: normalised vectors, constant factors and sums. Runs once products are Linear. */
export function foldVectorAffine(graph: EditableGraph, shapes: Shapes): void {
  for (const old of graph.nodes) {
    const node = graph.producer(old.outputs[0]);
    if (!node) continue;
    const rank = shapes.get(node.outputs[0] as string)?.dims.length;
    const normal = rank === 2 ? batchNormAffine(graph, node, shapes) : undefined;
    const affine = normal ?? constantAffine(graph, node, lastAxis, shapes);
    const linear = affine && graph.privateProducer(affine.input, 'Linear', node);
    const layer = isLinear(linear) ? layerOf(graph, linear) : undefined;
    if (!affine || !linear || !layer || 'min' in linear.attributes || 'max' in linear.attributes) continue;
    const width = affine.scale.length;
    const scaled = scaledLayer(layer.weight, layer.bias, affine, (i) => i % width);
    const grid = scaledGrid(graph.grids.get(linear.inputs[1] as string), affine.scale, 1);
    replaceLayer(graph, linear, node, scaled, grid);
  }
}

/** What stands behind no layer that could take it in: a node of the compiler's own, scale and shift by channel. */
export function standAloneNorm(graph: EditableGraph, shapes: Shapes): void {
  for (const node of graph.nodes) {
    const affine = batchNormAffine(graph, node, shapes);
    if (!affine) continue;
    const { input, scale, shift } = affine;
    const name = node.outputs[0] as string;
    const constants = [
      graph.addConstant(`${name}.scale`, floatTensor([scale.length], scale)),
      graph.addConstant(`${name}.shift`, floatTensor([shift.length], shift)),
    ];
    const made = fusedNode(node, 'ChannelAffine', [input, ...constants], { axis: 1 });
    graph.replace(node, { ...made, outputs: [name] });
  }
}

interface Layer {
  readonly weight: Float32Array;
  readonly bias: Float32Array | undefined;
}

/** The constants of a layer; undefined where one is computed. */
function layerOf(graph: EditableGraph, { inputs }: Node): Layer | undefined {
  const weight = graph.floats(inputs[1]);
  const bias = inputs[2] ? graph.floats(inputs[2]) : undefined;
  return weight && (!inputs[2] || bias) ? { weight, bias } : undefined;
}

const scaledLayer = (
  weight: Float32Array,
  bias: Float32Array | undefined,
  { scale, shift }: Affine,
  channelOf: (i: number) => number,
): Layer & { readonly bias: Float32Array } => ({
  weight: weight.map((w, i) => w * (scale[channelOf(i)] as number)),
  bias: shift.map((s, c) => s + (bias?.[c] ?? 0) * (scale[c] as number)),
});

/** The layer with other constants in the place of what stood behind it. */
function replaceLayer(
  graph: EditableGraph,
  layer: Node,
  node: Node,
  { weight, bias }: Layer & { readonly bias: Float32Array },
  grid: ConstantGrid | undefined,
): void {
  const name = node.outputs[0] as string;
  const dims = graph.constant(layer.inputs[1])?.dims ?? [];
  graph.remove([layer]);
  graph.replace(node, {
    ...layer,
    name: node.name,
    inputs: [
      layer.inputs[0] as string,
      graph.addConstant(`${name}.weight`, floatTensor(dims, weight), grid),
      graph.addConstant(`${name}.bias`, floatTensor([bias.length], bias)),
    ],
    outputs: [name],
  });
}
