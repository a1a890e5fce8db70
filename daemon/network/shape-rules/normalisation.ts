import { elementCount } from '../graph.js';
import { typeAttribute } from './elementwise.js';
import {
  axisOf,
  intAttribute,
  invalid,
  type Rule,
  type RuleInput,
  type RuleOutput,
  rules,
  unsupported,
} from './rule.js';

/** Normalisation: the first output has the input's shape, further ones are statistics. */

const same: Rule = (input) => {
  const { dtype, dims } = input.shape(0);
  return [{ dtype, dims }];
};

/** Before opset 13 the axis parts what is flattened to a matrix; from then on it is one axis. */
const softmax: Rule = (input) => {
  const { dtype, dims } = input.shape(0);
  if (input.opset >= 13) axisOf(input, intAttribute(input.node, 'axis', -1), dims.length);
  return [{ dtype, dims }];
};

/** In training, means and variances follow: four outputs before opset 14, two from then on. */
const batchNormalization: Rule = (input) => {
  const { dtype, dims } = input.shape(0);
  const channels = dims[1] ?? 1;
  if (input.opset < 7 && intAttribute(input.node, 'is_test', 0) === 0)
    throw unsupported(input, 'training (is_test 0) is not supported');
  const perElement = input.opset < 9 && intAttribute(input.node, 'spatial', 1) === 0;
  for (const i of [1, 2, 3, 4]) {
    const parameter = input.shape(i).dims;
    if (!perElement && (parameter.length !== 1 || parameter[0] !== channels))
      throw invalid(input, `input ${i} has the shape [${parameter}], the channels are ${channels}`);
  }
  const { dtype: kind, dims: statistic } = input.shape(3);
  const further = { dtype: kind, dims: statistic };
  return [{ dtype, dims }, further, further, further, further];
};

/** Mean and reciprocal deviation, 1 along the normalised axes, in the type that `stash_type` names. */
function statisticOf(input: RuleInput): RuleOutput {
  const { dims } = input.shape(0);
  const axis = axisOf(input, intAttribute(input.node, 'axis', -1), dims.length);
  return {
    dtype: typeAttribute(input, 'stash_type', 'float32'),
    dims: dims.map((size, i) => (i < axis ? size : 1)),
  };
}

const layerNormalization: Rule = (input) => {
  const { dtype, dims } = input.shape(0);
  const statistic = statisticOf(input);
  return [{ dtype, dims }, statistic, statistic];
};

/** onnxruntime's name for RMSNormalization, in both domains; the statistic is the reciprocal deviation. */
export const simplifiedLayerNormalization: Rule = (input) => {
  const { dtype, dims } = input.shape(0);
  return [{ dtype, dims }, statisticOf(input)];
};

/** The type is the scale's. */
const rmsNormalization: Rule = (input) => [{ dtype: input.shape(1).dtype, dims: input.shape(0).dims }];

const groupNormalization: Rule = (input) => {
  const { dtype, dims } = input.shape(0);
  const groups = intAttribute(input.node, 'num_groups', 0);
  const channels = dims[1] ?? 0;
  if (groups <= 0 || channels % groups !== 0)
    throw invalid(input, `num_groups ${groups} does not part ${channels} channels`);
  // One scale a group in opset 18, one a channel from opset 21.
  const expected = input.opset < 21 ? groups : channels;
  // onnxruntime makes a row of what holds that many elements, or one.
  for (const i of [1, 2])
    if (![1, expected].includes(elementCount(input.shape(i).dims)))
      throw invalid(input, `input ${i} has the shape [${input.shape(i).dims}], not [${expected}]`);
  return [{ dtype, dims }];
};

export const normalisationRules = [
  ...rules(1, 'Softmax LogSoftmax Hardmax', softmax),
  ...rules(6, 'BatchNormalization', batchNormalization),
  ...rules(1, 'InstanceNormalization LpNormalization LRN MeanVarianceNormalization', same),
  // onnxruntime runs both in the default domain of any operator set.
  ...rules(1, 'LayerNormalization', layerNormalization),
  ...rules(1, 'SimplifiedLayerNormalization', simplifiedLayerNormalization),
  ...rules(18, 'GroupNormalization', groupNormalization),
  ...rules(23, 'RMSNormalization', rmsNormalization),
];
