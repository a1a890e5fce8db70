import { conv } from './convolution.js';
import { typeAttribute } from './elementwise.js';
import { productDims } from './matrix.js';
import { simplifiedLayerNormalization } from './normalisation.js';
import { dequantize } from './quantised.js';
import {
  axisOf,
  broadcast,
  intAttribute,
  invalid,
  type Rule,
  type RuleInput,
  rules,
  unsupported,
} from './rule.js';

/** Operators of the domain com.microsoft, as onnxruntime's optimiser and its exporters write them. */

const same: Rule = (input) => {
  const { dtype, dims } = input.shape(0);
  return [{ dtype, dims }];
};

const fusedMatMul: Rule = (input) => {
  for (const name of ['transBatchA', 'transBatchB'])
    if (intAttribute(input.node, name, 0) !== 0) throw unsupported(input, `${name} is not supported`);
  const side = (i: number, name: string): readonly number[] => {
    const { dims } = input.shape(i);
    if (intAttribute(input.node, name, 0) === 0 || dims.length < 2) return dims;
    return [...dims.slice(0, -2), dims.at(-1) as number, dims.at(-2) as number];
  };
  return [{ dtype: input.shape(0).dtype, dims: productDims(input, side(0, 'transA'), side(1, 'transB')) }];
};

/** Weights [k, n] packed in 4 bits or so; the attributes tell their sizes. */
const matMulNBits: Rule = (input) => {
  const { dtype, dims } = input.shape(0);
  const [k, n] = [intAttribute(input.node, 'K', 0), intAttribute(input.node, 'N', 0)];
  if (dims.at(-1) !== k || n <= 0) throw invalid(input, `K ${k} and N ${n} do not fit [${dims}]`);
  return [{ dtype, dims: [...dims.slice(0, -1), n] }];
};

/** a, its scale and zero point, then b with its own, then those of the result. */
const qLinearBinary: Rule = (input) => [
  { dtype: input.shape(0).dtype, dims: broadcast(input, input.shape(0).dims, input.shape(3).dims) },
];

const qLinearGlobalAveragePool: Rule = (input) => {
  const { dtype, dims } = input.shape(0);
  const last = intAttribute(input.node, 'channels_last', 0) === 1;
  const channels = last ? dims.length - 1 : 1;
  return [{ dtype, dims: dims.map((size, i) => (i === 0 || i === channels ? size : 1)) }];
};

/** Scale and zero point of the result, then three inputs a part: values, scale, zero point. */
const qLinearConcat: Rule = (input) => {
  const count = (input.node.inputs.length - 2) / 3;
  if (!Number.isInteger(count) || count < 1) throw invalid(input, 'its inputs do not come in threes');
  const parts = Array.from({ length: count }, (_, i) => input.shape(2 + 3 * i).dims);
  const first = parts[0] as readonly number[];
  const axis = axisOf(input, intAttribute(input.node, 'axis', 0), first.length);
  for (const dims of parts)
    if (dims.length !== first.length || dims.some((size, i) => i !== axis && size !== first[i]))
      throw invalid(input, `[${dims}] beside [${first}]`);
  const total = parts.reduce((sum, dims) => sum + (dims[axis] as number), 0);
  return [{ dtype: input.shape(2).dtype, dims: first.map((size, i) => (i === axis ? total : size)) }];
};

/** Mean and reciprocal deviation come second and third, the sum of input and skip fourth. */
const skipNormalization: Rule = (input) => {
  const { dtype, dims } = input.shape(0);
  const statistic = { dtype: 'float32', dims: [...dims.slice(0, -1), 1] } as const;
  return [{ dtype, dims }, statistic, statistic, { dtype, dims }];
};

const gemmDims = (input: RuleInput, a: readonly number[], b: readonly number[]): number[] => {
  const [m, k] = intAttribute(input.node, 'transA', 0) ? [a[1], a[0]] : a;
  const [k2, n] = intAttribute(input.node, 'transB', 0) ? [b[1], b[0]] : b;
  if (a.length !== 2 || b.length !== 2 || k !== k2) throw invalid(input, `[${a}] times [${b}]`);
  return [m as number, n as number];
};

const fusedGemm: Rule = (input) => [
  { dtype: input.shape(0).dtype, dims: gemmDims(input, input.shape(0).dims, input.shape(1).dims) },
];

/** Without a zero point of the result (input 8) it is float. */
const qGemm: Rule = (input) => [
  {
    dtype: input.has(8) ? input.shape(8).dtype : 'float32',
    dims: gemmDims(input, input.shape(0).dims, input.shape(3).dims),
  },
];

const floatProduct: Rule = (input) => [
  { dtype: 'float32', dims: productDims(input, input.shape(0).dims, input.shape(1).dims) },
];

const quantizeTo: Rule = (input) => [
  {
    dtype: input.has(2) ? input.shape(2).dtype : typeAttribute(input, 'output_dtype', 'uint8'),
    dims: input.shape(0).dims,
  },
];

export const microsoftRules = [
  ...rules(1, 'BiasGelu FastGelu Gelu QuickGelu Inverse QLinearLeakyRelu QLinearSigmoid Trilu', same),
  ...rules(1, 'FusedMatMul', fusedMatMul),
  ...rules(1, 'FusedConv', conv),
  ...rules(1, 'FusedGemm', fusedGemm),
  ...rules(1, 'QGemm', qGemm),
  ...rules(1, 'MatMulNBits', matMulNBits),
  ...rules(1, 'DynamicQuantizeMatMul MatMulIntegerToFloat', floatProduct),
  ...rules(1, 'QLinearAdd QLinearMul', qLinearBinary),
  ...rules(1, 'QLinearGlobalAveragePool', qLinearGlobalAveragePool),
  ...rules(1, 'QLinearConcat', qLinearConcat),
  ...rules(1, 'QuantizeLinear', quantizeTo),
  ...rules(1, 'DequantizeLinear', dequantize),
  ...rules(1, 'SkipLayerNormalization SkipSimplifiedLayerNormalization', skipNormalization),
  ...rules(1, 'SimplifiedLayerNormalization', simplifiedLayerNormalization),
];
