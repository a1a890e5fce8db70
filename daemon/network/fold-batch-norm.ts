import { freshNames } from './fresh-names.js';
import { floatsOf, floatTensor, type Graph, type Node, type Tensor } from './graph.js';

/** Which normalisations to fold, and whether for their values or for the shape of the result alone, which is quicker. */
export interface FoldOptions {
  readonly which?: (node: Node) => boolean;
  readonly shapesOnly?: boolean;
}

/**
 * Folds inference-time normalisation into the convolution before it, by output channel (Jacob et al., CVPR 2018, section
 * 3.2): w' = w g / sqrt(v + e), b' = (b - m) g / sqrt(v + e) + beta. The convolution takes over the normalised value's
 * name, so that ranges calibrated on the graph as it came still hold. One that stands behind anything but a private
 * convolution with constant weights stays.
 */
export function foldBatchNorm(
  graph: Graph,
  { which = () => true, shapesOnly = false }: FoldOptions = {},
): Graph {
  const readers = new Map<string, number>(graph.outputs.map(({ name }) => [name, 2]));
  for (const { inputs } of graph.nodes)
    for (const name of inputs) readers.set(name, (readers.get(name) ?? 0) + 1);
  const convOf = new Map(
    graph.nodes.filter(({ op }) => op === 'Conv').map((node) => [node.outputs[0], node]),
  );
  const initializers = new Map(graph.initializers);
  const fresh = freshNames(graph);
  const floats = (name: string | undefined): Float32Array | undefined => {
    const tensor = name === undefined ? undefined : graph.initializers.get(name);
    return tensor?.dtype === 'float32' ? floatsOf(tensor) : undefined;
  };
  const folded = new Set<Node>();
  const replaced = new Map<Node, Node>();
  for (const node of graph.nodes) {
    if (node.op !== 'BatchNormalization' || !which(node)) continue;
    const conv = convOf.get(node.inputs[0] as string);
    const weight = conv && floats(conv.inputs[1]);
    const [gamma, beta, mean, variance] = [1, 2, 3, 4].map((i) => floats(node.inputs[i]));
    if (
      !conv ||
      !weight ||
      !gamma ||
      !beta ||
      !mean ||
      !variance ||
      readers.get(node.inputs[0] as string) !== 1
    )
      continue;
    const epsilon = typeof node.attributes.epsilon === 'number' ? node.attributes.epsilon : 1e-5;
    const scale = gamma.map((g, c) => g / Math.sqrt((variance[c] as number) + epsilon));
    const bias = floats(conv.inputs[2]);
    const perChannel = weight.length / scale.length;
    const value = node.outputs[0] as string;
    const { dims } = graph.initializers.get(conv.inputs[1] as string) as Tensor;
    // One weight may serve several convolutions: the folded ones are named after the value.
    const [own, shift] = [fresh(`${value}.weight`), fresh(`${value}.bias`)];
    initializers.set(
      own,
      floatTensor(
        dims,
        shapesOnly ? weight : weight.map((w, i) => w * (scale[Math.floor(i / perChannel)] as number)),
      ),
    );
    initializers.set(
      shift,
      floatTensor(
        [scale.length],
        beta.map((b, c) => b + ((bias?.[c] ?? 0) - (mean[c] as number)) * (scale[c] as number)),
      ),
    );
    folded.add(conv);
    replaced.set(node, { ...conv, inputs: [conv.inputs[0] as string, own, shift], outputs: [value] });
  }
  const nodes = graph.nodes.flatMap((node) => (folded.has(node) ? [] : [replaced.get(node) ?? node]));
  const used = new Set([...nodes.flatMap(({ inputs }) => inputs), ...graph.outputs.map(({ name }) => name)]);
  return {
    ...graph,
    nodes,
    initializers: new Map([...initializers].filter(([name]) => used.has(name))),
  };
}
