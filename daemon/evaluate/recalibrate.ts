import type { LabelledImages } from '../data/labelled/labelled-images.js';
import { freshNames } from '../network/fresh-names.js';
import { floatTensor, type Graph, type Node, type Tensor } from '../network/graph.js';
import { withBatch } from '../network/with-batch.js';
import { writeOnnx } from '../network/write-onnx.js';
import type { SessionProcess } from '../runtime/session-process.js';

/**
 * A graph whose normalisations use the statistics of the present batch and give them out: the mean over batch and
 * space and the (biased) variance, as in training.
 */
function statisticsGraph(graph: Graph): {
  readonly graph: Graph;
  readonly outputs: readonly { readonly mean: string; readonly variance: string }[];
} {
  const outputs: { mean: string; variance: string }[] = [];
  const fresh = freshNames(graph);
  const nodes = graph.nodes.flatMap((node): Node[] => {
    if (node.op !== 'BatchNormalization') return [node];
    const [x, scale, bias] = node.inputs as [string, string, string];
    const [mean, variance, kept, centred, squared] = ['mean', 'var', 'mean4', 'centred', 'squared'].map(
      (part) => fresh(`${node.outputs[0]}.batch.${part}`),
    ) as [string, string, string, string, string];
    const make = (
      op: string,
      inputs: string[],
      output: string,
      attributes: Node['attributes'] = {},
    ): Node => ({ name: output, op, domain: '', inputs, outputs: [output], attributes });
    outputs.push({ mean, variance });
    const axes = { axes: [0, 2, 3] };
    return [
      make('ReduceMean', [x], kept, { ...axes, keepdims: 1 }),
      make('ReduceMean', [x], mean, { ...axes, keepdims: 0 }),
      make('Sub', [x, kept], centred),
      make('Mul', [centred, centred], squared),
      make('ReduceMean', [squared], variance, { ...axes, keepdims: 0 }),
      { ...node, inputs: [x, scale, bias, mean, variance] },
    ];
  });
  const given = outputs
    .flatMap(({ mean, variance }) => [mean, variance])
    .map((name) => ({ name, dtype: 'float32' as const, dims: [null] }));
  return { graph: { ...graph, nodes, outputs: [...graph.outputs, ...given] }, outputs };
}

/**
 * A sub-network's own batch statistics, since those of the super-network belong to no architecture: one forward pass
 * of the calibration images, all of them in one batch. Networks without batch normalisation come back as they are.
 */
export async function recalibrate(
  graph: Graph,
  images: LabelledImages,
  runtime: SessionProcess,
  options: { readonly signal: AbortSignal },
): Promise<Graph> {
  const statistics = statisticsGraph(graph);
  if (statistics.outputs.length === 0) return graph;
  const { handle } = await runtime.load(
    writeOnnx(withBatch(statistics.graph, images.count)),
    { arena: false },
    options,
  );
  try {
    const input = graph.inputs[0]?.name as string;
    const dims = [images.count, images.channels, images.height, images.width];
    const answers = await runtime.run(
      handle,
      { [input]: { type: 'float32', dims, data: images.pixels } },
      {},
      options,
    );
    const initializers = new Map<string, Tensor>(graph.initializers);
    const normalisations = graph.nodes.filter((node) => node.op === 'BatchNormalization');
    normalisations.forEach((node, i) => {
      const { mean, variance } = statistics.outputs[i] as { mean: string; variance: string };
      for (const [name, source] of [
        [node.inputs[3], mean],
        [node.inputs[4], variance],
      ] as [string, string][]) {
        const data = answers[source]?.data as Float32Array;
        initializers.set(name, floatTensor([data.length], data));
      }
    });
    return { ...graph, initializers };
  } finally {
    await runtime.release(handle, options);
  }
}
