import { elementCount } from './graph.js';
import { attention, contraction } from './shape-rules/matrix.js';
import { recurrentSizes } from './shape-rules/recurrent.js';
import { intAttribute, type RuleInput, type RuleOutput, unknownShape } from './shape-rules/rule.js';

/** Multiply-accumulates of one operator, of its outputs' shapes; elementwise arithmetic counts as none. */
type Count = (input: RuleInput, outputs: readonly (RuleOutput | undefined)[]) => number | undefined;

/** Elements of the first output. Throws SHAPE_UNKNOWN. */
function outOf(input: RuleInput, [first]: readonly (RuleOutput | undefined)[]): number {
  if (!first) throw unknownShape(input, 'the shape of its output is not known');
  return elementCount(first.dims);
}

/** Each output element takes one column of the weights in input `i`. */
const convolution =
  (i: number): Count =>
  (input, outputs) =>
    outOf(input, outputs) * elementCount(input.shape(i).dims.slice(1));

const transposedConvolution: Count = (input) =>
  elementCount(input.shape(0).dims) * elementCount(input.shape(1).dims.slice(1));

const gemm: Count = (input, outputs) =>
  outOf(input, outputs) * (input.shape(0).dims[intAttribute(input.node, 'transA', 0) ? 0 : 1] as number);

const product: Count = (input, outputs) => outOf(input, outputs) * (input.shape(0).dims.at(-1) as number);

const fusedProduct: Count = (input, outputs) => {
  const { dims } = input.shape(0);
  const transposed = dims.length > 1 && intAttribute(input.node, 'transA', 0) === 1;
  return outOf(input, outputs) * (dims.at(transposed ? -2 : -1) as number);
};

/** Every step multiplies input and state by the weights of every gate. */
const recurrent: Count = (input) => {
  const { gates, directions, length, batch, width, hidden } = recurrentSizes(input);
  return length * batch * directions * gates * hidden * (width + hidden);
};

/**
 * Einsum from left to right, two operands at a time: a product of all labels of both where some label is summed, else an
 * elementwise product. What only one operand has and nothing later reads is summed beforehand.
 */
const einsum: Count = (input) => {
  const { operands, output, sizes } = contraction(input);
  const [first = [], ...rest] = operands;
  let total = 0;
  let left = new Set(first);
  rest.forEach((labels, i) => {
    const later = new Set([...output, ...rest.slice(i + 1).flat()]);
    const right = new Set(labels);
    const needed = [...new Set([...left, ...right])].filter(
      (label) => later.has(label) || (left.has(label) && right.has(label)),
    );
    const kept = needed.filter((label) => later.has(label));
    if (kept.length < needed.length) total += elementCount(needed.map((label) => sizes.get(label) as number));
    left = new Set(kept);
  });
  return total;
};

/** Queries times keys, and the weighed values. */
const dotProducts: Count = (input) => {
  const [, keys, values, scores] = attention(input);
  const width = (keys?.dims[3] ?? 0) + (values?.dims[3] ?? 0);
  return elementCount(scores?.dims ?? []) * width;
};

const counts: ReadonlyMap<string, Count> = new Map<string, Count>([
  ['Conv', convolution(1)],
  ['ConvInteger', convolution(1)],
  ['DeformConv', convolution(1)],
  ['FusedConv', convolution(1)],
  ['QLinearConv', convolution(3)],
  ['ConvTranspose', transposedConvolution],
  ['CausalConvWithState', convolution(1)],
  ['Gemm', gemm],
  ['FusedGemm', gemm],
  ['QGemm', gemm],
  ['MatMul', product],
  ['MatMulInteger', product],
  ['QLinearMatMul', product],
  ['MatMulNBits', product],
  ['DynamicQuantizeMatMul', product],
  ['MatMulIntegerToFloat', product],
  ['FusedMatMul', fusedProduct],
  ['LSTM', recurrent],
  ['GRU', recurrent],
  ['RNN', recurrent],
  ['Einsum', einsum],
  ['Attention', dotProducts],
]);

/** Operators whose products depend on how a runtime computes them. */
const uncounted = new Set([
  'DFT',
  'STFT',
  'Det',
  'Inverse',
  'LinearAttention',
  'SequenceMap',
  'ImageDecoder',
]);

/** Undefined where nothing here can count them; 0 for what moves, compares or computes element by element. */
export function macsOf(input: RuleInput, outputs: readonly (RuleOutput | undefined)[]): number | undefined {
  const { op } = input.node;
  if (uncounted.has(op)) return undefined;
  const count = counts.get(op);
  return count ? count(input, outputs) : 0;
}
