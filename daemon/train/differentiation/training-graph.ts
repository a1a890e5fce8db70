import { elementCount, type Graph, int64Tensor } from '../../network/graph.js';
import { GraphBuilder } from '../../network/graph-builder.js';
import { withBatch } from '../../network/with-batch.js';
import { channelMajor } from './channel-major.js';
import { reduceSum } from './gradients/rule.js';
import { Tape } from './tape.js';

/** Where one weight lies in the flat vector of a training graph. */
export interface Parameter {
  readonly name: string;
  readonly dims: readonly number[];
  readonly offset: number;
}

/**
 * Inputs: `images` [n, ...], `targets` [n, classes] (rows that sum to 1) and `weights`, all parameters in a row.
 * Outputs: `loss` (mean cross-entropy), `probabilities` [n, classes] and `gradient`, shaped and ordered as `weights`.
 */
export interface TrainingGraph {
  readonly graph: Graph;
  readonly parameters: readonly Parameter[];
  readonly parameterCount: number;
}

/**
 * Forward and backward pass of a classifier as one ordinary ONNX graph. `network` has one input (images, batch first)
 * and one output, the logits. `trainable` names the constants to learn; of those, the ones that training does not use
 * (running statistics of batch normalisation) are left out.
 * Throws OPERATOR_UNSUPPORTED where a gradient is missing.
 */
export function trainingGraph(
  network: Graph,
  { batch, trainable }: { readonly batch: number; readonly trainable: Iterable<string> },
): TrainingGraph {
  const lowered = channelMajor(withBatch(network, batch));
  const parameters = layOut(lowered, trainable);
  const last = parameters.at(-1);
  const parameterCount = last ? last.offset + elementCount(last.dims) : 0;

  const b = new GraphBuilder({ name: `${network.name}.training`, opset: network.opset });
  const images = b.input('images', 'float32', lowered.inputs[0]?.dims as number[]);
  const weights = b.input('weights', 'float32', [parameterCount]);
  const values = new Map([[lowered.inputs[0]?.name as string, images]]);
  const tape = new Tape(b);
  const sizes = parameters.map(({ dims }) => elementCount(dims));
  const parts = b.nodeMulti(
    'Split',
    [weights, b.constant('parameter_sizes', int64Tensor(sizes))],
    { axis: 0 },
    { outputs: sizes.length },
  );
  const watched = parameters.map(({ name, dims }, i) => {
    const value = b.reshape(parts[i] as string, dims);
    tape.watch(value);
    values.set(name, value);
    return value;
  });
  const constants = [...lowered.initializers].filter(([name]) => !values.has(name));
  for (const [name, tensor] of constants) values.set(name, b.constant(`constant.${name}`, tensor));
  for (const node of lowered.nodes) {
    const outputs = tape.apply({
      ...node,
      inputs: node.inputs.map((name) => (name === '' ? '' : (values.get(name) as string))),
    });
    node.outputs.forEach((name, i) => {
      values.set(name, outputs[i] as string);
    });
  }

  const logits = values.get(lowered.outputs[0]?.name as string) as string;
  const [, classes] = b.dimsOf(logits) as [number, number];
  const targets = b.input('targets', 'float32', [batch, classes]);
  const probabilities = b.softmax(logits);
  const perImage = reduceSum(b, b.mul(targets, b.node('LogSoftmax', [logits], { axis: -1 })), [1], 0);
  b.output(b.node('Neg', [b.reduceMean(perImage, [0], 0)]), 'loss');
  b.output(probabilities, 'probabilities');
  // Softmax and cross-entropy together: (p - t) / n.
  const seed = b.mul(b.node('Sub', [probabilities, targets]), b.scalar(1 / batch));
  const gradients = tape.backward(logits, seed);
  const flat = watched.map((value, i) =>
    b.reshape(gradients.get(value) ?? b.node('Expand', [b.scalar(0), b.ints([sizes[i] as number])]), [-1]),
  );
  b.output(b.concat(flat, 0), 'gradient');
  return { graph: b.build(), parameters, parameterCount };
}

/** Running statistics: the only constants that batch normalisation's training form does not read. */
function layOut(graph: Graph, trainable: Iterable<string>): readonly Parameter[] {
  const used = new Set(
    graph.nodes.flatMap(({ op, inputs }) => (op === 'BatchNormalization' ? inputs.slice(0, 3) : inputs)),
  );
  let offset = 0;
  return [...trainable]
    .filter((name) => used.has(name))
    .map((name) => {
      const dims = graph.initializers.get(name)?.dims as readonly number[];
      const parameter = { name, dims, offset };
      offset += elementCount(dims);
      return parameter;
    });
}
