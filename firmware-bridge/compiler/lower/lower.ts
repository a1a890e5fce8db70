import { HildaError } from '../../../daemon/core/errors.js';
import { closedShape } from '../../../daemon/network/infer-shapes.js';
import type { Prepared } from '../passes/prepare.js';
import { quantisationOf, type Range } from '../quantise/quantisation.js';
import { Lowering, type LoweringRule, unsupported, wholeOf } from './lowering.js';
import type { Lowered, Port } from './operators.js';
import { convolution } from './rules/convolution.js';
import { binary, unary } from './rules/elementwise.js';
import { concat, expand, reshape, slice, split, transpose } from './rules/layout.js';
import { layerNorm, softmax } from './rules/normalisation.js';
import { globalAverage, pooling, reduce } from './rules/pooling.js';
import { linear, matMul } from './rules/products.js';
import { pad, resize } from './rules/resampling.js';
import { transposedConvolution } from './rules/transposed-convolution.js';
import { physicalOrder, type Value } from './value.js';

const each = (names: string, rule: LoweringRule): [string, LoweringRule][] =>
  names.split(' ').map((name) => [name, rule]);

const rules: Readonly<Record<string, LoweringRule>> = Object.fromEntries([
  ...each('Conv', convolution),
  ...each('ConvTranspose', transposedConvolution),
  ...each('Linear', linear),
  ...each('MatMul', matMul),
  ...each('Add Sub Mul Div Pow', binary),
  ...each(
    'Relu Clip LeakyRelu Elu Sigmoid Tanh Erf Gelu GeluTanh HardSwish HardSigmoid Swish Exp Abs Neg Sqrt Softplus',
    unary,
  ),
  ...each('Softmax', softmax),
  ...each('LayerNormalization', layerNorm),
  ...each('MaxPool AveragePool', pooling),
  ...each('GlobalAveragePool', globalAverage),
  ...each('ReduceMean ReduceSum', reduce),
  ...each('Reshape Flatten Squeeze Unsqueeze Identity', reshape),
  ...each('Transpose', transpose),
  ...each('Concat', concat),
  ...each('Slice', slice),
  ...each('Split', split),
  ...each('Expand', expand),
  ...each('Pad', pad),
  ...each('Resize', resize),
]);

/** The operators that can run on a board, for messages and tests. */
export const loweredOperators: readonly string[] = Object.keys(rules).sort();

/**
 * A prepared graph as operators over storages. `ranges` are those of the network's activations by name.
 * Throws OPERATOR_UNSUPPORTED with the first operator that cannot be lowered, QUANTISATION_FAILED.
 */
export function lower(prepared: Prepared, ranges: ReadonlyMap<string, Range> | undefined): Lowered {
  const { graph } = prepared;
  const [input, output] = [graph.inputs[0], graph.outputs[0]];
  if (!input || !output || graph.inputs.length > 1 || graph.outputs.length > 1)
    throw new HildaError(
      'OPERATOR_UNSUPPORTED',
      `the network has ${graph.inputs.length} inputs and ${graph.outputs.length} outputs; a board takes one of each`,
    );
  const lowering = new Lowering(prepared, ranges);
  const { dims } = closedShape(input);
  const quantisation = ranges?.has(input.name)
    ? lowering.quantisation(input.name)
    : quantisationOf({ min: -1, max: 1 });
  const x = lowering.define(input.name, lowering.allocate(input.name, dims, quantisation));
  for (const node of graph.nodes) {
    const rule = rules[node.op];
    if (!rule) throw unsupported(node, 'the firmware has no such operator');
    rule(node, lowering);
  }
  const last = graph.nodes.find((node) => node.outputs.includes(output.name));
  if (!last) throw new HildaError('OPERATOR_UNSUPPORTED', 'the network computes nothing from its input');
  const y = lowering.dense(last, lowering.value({ ...last, inputs: [output.name] }, 0));
  const port = (name: string, value: Value): Port => ({
    name,
    dims: value.dims,
    view: wholeOf(value),
    layout: isRowMajor(value) ? 'row-major' : 'channels-last',
    quantisation: value.quantisation,
  });
  return {
    storages: lowering.storages,
    operators: lowering.operators,
    input: port(input.name, x),
    output: port(output.name, y),
  };
}

const isRowMajor = (value: Value): boolean => {
  const order = physicalOrder(value).filter((axis) => value.dims[axis] !== 1);
  return order.every((axis, i) => i === 0 || axis > (order[i - 1] as number));
};
