import {
  intAttribute,
  intsAttribute,
  invalid,
  known,
  type Rule,
  type RuleInput,
  type RuleOutput,
  rules,
  unsupported,
} from './rule.js';
import { autoPadOf, perAxis, windowDims } from './windows.js';

/** Convolutions: weights [out, in / groups, ...], transposed ones [in, out / groups, ...]. */

/** Dimensions of a convolution of input `x` with the weights in input `w`. */
function convolutionDims(input: RuleInput, x: readonly number[], w: readonly number[]): number[] {
  const groups = intAttribute(input.node, 'group', 1);
  if (x.length !== w.length || x.length < 3)
    throw invalid(input, `input [${x}] and weights [${w}] differ in rank or have no spatial axis`);
  if (x[1] !== (w[1] as number) * groups || (w[0] as number) % groups !== 0)
    throw invalid(input, `input [${x}] does not fit weights [${w}] in ${groups} groups`);
  const kernel = intsAttribute(input.node, 'kernel_shape') ?? w.slice(2);
  if (kernel.join() !== w.slice(2).join())
    throw invalid(input, `kernel_shape [${kernel}] does not fit weights [${w}]`);
  return [x[0] as number, w[0] as number, ...windowDims(input, x.slice(2), kernel)];
}

const checkBias = (input: RuleInput, i: number, channels: number): void => {
  if (input.has(i) && input.shape(i).dims.join() !== `${channels}`)
    throw invalid(input, `the bias [${input.shape(i).dims}] does not fit ${channels} channels`);
};

export const conv: Rule = (input) => {
  const x = input.shape(0);
  const dims = convolutionDims(input, x.dims, input.shape(1).dims);
  checkBias(input, 2, dims[1] as number);
  return [{ dtype: x.dtype, dims }];
};

const convInteger: Rule = (input) => [
  { dtype: 'int32', dims: convolutionDims(input, input.shape(0).dims, input.shape(1).dims) },
];

/** x, its scale and zero point, weights with theirs, then those of the output, whose zero point tells the type. */
const qLinearConv: Rule = (input) => {
  const dims = convolutionDims(input, input.shape(0).dims, input.shape(3).dims);
  checkBias(input, 8, dims[1] as number);
  return [{ dtype: input.shape(7).dtype, dims }];
};

const convTranspose: Rule = (input) => {
  const { node } = input;
  const x = input.shape(0);
  const w = input.shape(1).dims;
  const spatial = x.dims.slice(2);
  const groups = intAttribute(node, 'group', 1);
  if (x.dims.length !== w.length || x.dims[1] !== w[0] || (w[0] as number) % groups !== 0)
    throw invalid(input, `input [${x.dims}] does not fit weights [${w}] in ${groups} groups`);
  const kernel = intsAttribute(node, 'kernel_shape') ?? w.slice(2);
  if (kernel.join() !== w.slice(2).join())
    throw invalid(input, `kernel_shape [${kernel}] does not fit weights [${w}]`);
  const channels = (w[1] as number) * groups;
  checkBias(input, 2, channels);
  const shapeOf = (sizes: readonly number[]): RuleOutput[] => [
    { dtype: x.dtype, dims: [x.dims[0] as number, channels, ...sizes] },
  ];
  const of = (name: string, initial: number): readonly number[] =>
    perAxis(input, name, spatial.length, initial);
  const [strides, dilations, extra] = [of('strides', 1), of('dilations', 1), of('output_padding', 0)];
  const pads = perAxis(input, 'pads', spatial.length, 0, 2);
  const given = intsAttribute(node, 'output_shape');
  // The pads follow from the shape then.
  if (given && given.length > 0) {
    if (given.length !== spatial.length)
      throw invalid(input, `output_shape [${given}] does not fit ${spatial.length} spatial axes`);
    return shapeOf(given);
  }
  const mode = autoPadOf(input);
  return shapeOf(
    spatial.map((size, i) => {
      const stride = strides[i] as number;
      const reach = ((kernel[i] as number) - 1) * (dilations[i] as number) + 1;
      if (mode.startsWith('SAME') && reach + (extra[i] as number) < stride)
        throw unsupported(input, `auto_pad ${mode} with a kernel smaller than its stride: runtimes differ`);
      if (mode.startsWith('SAME')) return size * stride;
      const cut = mode === 'VALID' ? 0 : (pads[i] as number) + (pads[i + spatial.length] as number);
      return (size - 1) * stride + reach + (extra[i] as number) - cut;
    }),
  );
};

/** Columns [n, channels x block, positions] back to images; `image_shape` is input 1, `block_shape` input 2. */
const col2Im: Rule = (input) => {
  const { dtype, dims } = input.shape(0);
  const [image, block] = [known(input, 1, 'image_shape'), known(input, 2, 'block_shape')];
  const area = block.reduce((a, b) => a * b, 1);
  const [n, columns] = dims;
  if (dims.length !== 3 || image.length !== block.length || (columns as number) % area !== 0)
    throw invalid(input, `columns [${dims}] do not fit blocks [${block}] of images [${image}]`);
  return [{ dtype, dims: [n as number, (columns as number) / area, ...image] }];
};

/** Depthwise and one-dimensional; the second output holds the last positions for the next call. */
const causalConv: Rule = (input) => {
  const { dtype, dims } = input.shape(0);
  const kernel = input.shape(1).dims.at(-1) as number;
  if (dims.length !== 3) throw invalid(input, `[${dims}] is not batch, channels, length`);
  return [
    { dtype, dims },
    { dtype, dims: [dims[0] as number, dims[1] as number, kernel - 1] },
  ];
};

export const convolutionRules = [
  ...rules(1, 'Conv', conv),
  ...rules(19, 'DeformConv', (input) => [
    { dtype: input.shape(0).dtype, dims: convolutionDims(input, input.shape(0).dims, input.shape(1).dims) },
  ]),
  ...rules(10, 'ConvInteger', convInteger),
  ...rules(10, 'QLinearConv', qLinearConv),
  ...rules(1, 'ConvTranspose', convTranspose),
  ...rules(18, 'Col2Im', col2Im),
  ...rules(27, 'CausalConvWithState', causalConv),
];
