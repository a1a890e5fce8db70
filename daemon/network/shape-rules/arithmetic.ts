import { dtypeByNumber } from '../graph.js';
import { axisOf, broadcast, intAttribute, intsAttribute, invalid, type Rule, unknownShape } from './rule.js';

/** Same shape and type as the first input, other elements; further inputs are parameters. */
const same: Rule = (input) => {
  const { dtype, dims } = input.shape(0);
  return [{ dtype, dims }];
};

const identity: Rule = (input) => {
  const constant = input.constant(0);
  return [{ dtype: input.shape(0).dtype, dims: input.shape(0).dims, ...(constant && { constant }) }];
};

const fold: Readonly<Record<string, (a: number, b: number) => number>> = {
  Add: (a, b) => a + b,
  Sub: (a, b) => a - b,
  Mul: (a, b) => a * b,
  Div: (a, b) => Math.trunc(a / b),
};

/** Sums and products of whole constants are folded: exporters compute shapes with them. */
const binary: Rule = (input) => {
  const [a, b] = [input.shape(0), input.shape(1)];
  const dims = broadcast(input.node, a.dims, b.dims);
  const [left, right, combine] = [input.constant(0), input.constant(1), fold[input.node.op]];
  const whole = a.dtype === 'int64' || a.dtype === 'int32';
  if (!left || !right || !combine || !whole || dims.length > 1) return [{ dtype: a.dtype, dims }];
  const at = (values: readonly number[], i: number): number => values[values.length === 1 ? 0 : i] as number;
  const constant = Array.from({ length: Math.max(left.length, right.length) }, (_, i) =>
    combine(at(left, i), at(right, i)),
  );
  return [{ dtype: a.dtype, dims, constant }];
};

const comparison: Rule = (input) => [
  { dtype: 'bool', dims: broadcast(input.node, input.shape(0).dims, input.shape(1).dims) },
];

const where: Rule = (input) => [
  {
    dtype: input.shape(1).dtype,
    dims: broadcast(input.node, input.shape(0).dims, input.shape(1).dims, input.shape(2).dims),
  },
];

const gemm: Rule = (input) => {
  const { node } = input;
  const a = input.shape(0);
  const b = input.shape(1).dims;
  if (a.dims.length !== 2 || b.length !== 2)
    throw invalid(node, `needs matrices, got [${a.dims}] and [${b}]`);
  const [m, k] = intAttribute(node, 'transA', 0) ? [a.dims[1], a.dims[0]] : a.dims;
  const [k2, n] = intAttribute(node, 'transB', 0) ? [b[1], b[0]] : b;
  if (k !== k2) throw invalid(node, `inner sizes ${k} and ${k2} differ`);
  return [{ dtype: a.dtype, dims: [m as number, n as number] }];
};

const matMul: Rule = (input) => {
  const { node } = input;
  const a = input.shape(0);
  const b = input.shape(1).dims;
  if (a.dims.length === 0 || b.length === 0) throw invalid(node, 'needs at least vectors');
  const left = a.dims.length === 1 ? [1, ...a.dims] : [...a.dims];
  const right = b.length === 1 ? [...b, 1] : [...b];
  if (left.at(-1) !== right.at(-2)) throw invalid(node, `[${a.dims}] times [${b}]`);
  const batch = broadcast(node, left.slice(0, -2), right.slice(0, -2));
  const tail = [
    ...(a.dims.length === 1 ? [] : [left.at(-2) as number]),
    ...(b.length === 1 ? [] : [right.at(-1) as number]),
  ];
  return [{ dtype: a.dtype, dims: [...batch, ...tail] }];
};

/** Axes are an attribute up to opset 17 (Sum: 12) and an input from then on. */
const reduce: Rule = (input) => {
  const { node } = input;
  const x = input.shape(0);
  const given = intsAttribute(node, 'axes') ?? (input.has(1) ? input.constant(1) : undefined);
  if (input.has(1) && !given) throw unknownShape(node, 'the axes are');
  const noop = intAttribute(node, 'noop_with_empty_axes', 0) === 1;
  const all = !given || given.length === 0;
  if (all && noop) return [{ dtype: x.dtype, dims: x.dims }];
  const axes = new Set(
    all ? x.dims.map((_, i) => i) : given.map((axis) => axisOf(node, axis, x.dims.length)),
  );
  const keep = intAttribute(node, 'keepdims', 1) === 1;
  const dims = x.dims.map((size, i) => (axes.has(i) ? 1 : size)).filter((_, i) => keep || !axes.has(i));
  return [{ dtype: x.dtype, dims }];
};

/** The further outputs are the mean and the reciprocal deviation that training needs, 1 along the normalised axes. */
const layerNormalization: Rule = (input) => {
  const { dtype, dims } = input.shape(0);
  const axis = axisOf(input.node, intAttribute(input.node, 'axis', -1), dims.length);
  const statistic = { dtype, dims: dims.map((size, i) => (i < axis ? size : 1)) };
  return [{ dtype, dims }, statistic, statistic];
};

const quantize: Rule = (input) => [
  { dtype: input.has(2) ? input.shape(2).dtype : 'uint8', dims: input.shape(0).dims },
];
const dequantize: Rule = (input) => [{ dtype: 'float32', dims: input.shape(0).dims }];

const cast: Rule = (input) => {
  const dtype = dtypeByNumber.get(intAttribute(input.node, 'to', 0));
  if (!dtype) throw invalid(input.node, 'casts to a type that is not supported');
  const values = input.constant(0);
  return [
    {
      dtype,
      dims: input.shape(0).dims,
      ...(values && { constant: dtype === 'int64' || dtype === 'int32' ? values.map(Math.trunc) : values }),
    },
  ];
};

const table = (names: string, rule: Rule): [string, Rule][] => names.split(' ').map((name) => [name, rule]);

export const arithmeticRules: Readonly<Record<string, Rule>> = Object.fromEntries([
  ...table(
    'Relu LeakyRelu HardSwish HardSigmoid Sigmoid Tanh Elu Selu Softplus Clip Sqrt Exp Log Erf Abs Neg Floor Ceil Round Reciprocal Gelu Softmax LogSoftmax Sign Not Dropout',
    same,
  ),
  ...table('BatchNormalization InstanceNormalization', same),
  ['LayerNormalization', layerNormalization],
  ...table('Add Sub Mul Div Pow Min Max Mod PRelu', binary),
  ...table('Equal Greater GreaterOrEqual Less LessOrEqual And Or', comparison),
  ...table('ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL2 ReduceSumSquare', reduce),
  ['Identity', identity],
  ['Where', where],
  ['Gemm', gemm],
  ['MatMul', matMul],
  ['Cast', cast],
  ['QuantizeLinear', quantize],
  ['DequantizeLinear', dequantize],
]);
