import { floatTensor } from '../../graph.js';
import { isQuantised } from '../conversion.js';
import { invalid } from '../invalid.js';
import { type Rules, rule, type Step } from '../step.js';
import { paddingOf, padsOf, positive, spatial, toChannelsFirst, toChannelsLast } from './windows.js';

/**
 * The bias of a convolution or product. An integer bias has the scale of input times weights; the file may say otherwise
 * (TensorFlow Lite's 8-bit quantisation specification); 64-bit ones are taken where they fit 32 bits.
 */
export function bias(step: Step, input: number, x: number, weights: number): string | undefined {
  if (!step.has(input)) return undefined;
  const { conversion } = step;
  const tensor = step.input(input);
  if (tensor.dtype === 'float32') return step.stored(input);
  const [data, weight] = [step.input(x), step.input(weights)];
  if (!isQuantised(data) || !isQuantised(weight))
    return step.refuse(`a bias of ${tensor.type} needs an input and weights with scales`);
  if (!tensor.data || (tensor.dtype !== 'int32' && tensor.dtype !== 'int64'))
    return step.refuse(
      `it needs a constant bias of int32 or int64, this one is ${tensor.data ? tensor.type : 'computed'}`,
    );
  const [scale] = data.quantisation?.scales ?? [];
  const products = (weight.quantisation?.scales ?? []).map((s) => Math.fround(s * (scale as number)));
  checkScales(step, tensor.quantisation?.scales ?? products, products);
  const values = tensor.dtype === 'int32' ? step.stored(input) : narrow(step, tensor.data);
  const scales = conversion.constant(floatTensor(products.length > 1 ? [products.length] : [], products));
  return step.emit('DequantizeLinear', [values, scales], products.length > 1 ? { axis: 0 } : {});
}

/** TensorFlow Lite refuses a bias whose scale would move the result by a fiftieth of an output step. */
function checkScales(step: Step, given: readonly number[], products: readonly number[]): void {
  const [output] = step.output().quantisation?.scales ?? [Number.POSITIVE_INFINITY];
  const off = given.some((scale, i) => Math.abs(scale - (products[i] ?? 0)) > 0.02 * (output as number));
  if (off || given.length !== products.length)
    step.refuse(
      `the scales of its bias are ${given.slice(0, 4)}, input and weights give ${products.slice(0, 4)}`,
    );
}

function narrow(step: Step, data: Uint8Array): string {
  const values = [...new BigInt64Array(new Uint8Array(data).buffer)].map(Number);
  if (values.some((value) => Math.abs(value) >= 2 ** 31)) step.refuse('its bias needs 64 bits');
  const narrowed = new Uint8Array(Int32Array.from(values).buffer);
  return step.conversion.constant({ dtype: 'int32', dims: [values.length], data: narrowed });
}

interface Convolution {
  readonly padding: number;
  readonly strides: readonly [number, number];
  readonly dilations: readonly [number, number];
  readonly activation: number;
  /** Pads that take the place of `padding`. */
  readonly pads?: readonly number[];
}

/** Filter OHWI; channels of the input divide into as many groups as the filter's input channels say. */
export function conv2d(step: Step, x: string, at: Convolution): string {
  const [out, height, width, part] = spatial(step, 1);
  const channels = step.dimsOf(x)[3] as number;
  if (part === 0 || channels % part !== 0 || out % (channels / part) !== 0)
    step.invalid(`an input of ${channels} channels does not fit the filter [${step.dims(1)}]`);
  return convolve(step, x, { ...at, kernel: [height, width], group: channels / part, perm: toChannelsFirst });
}

/** Filter [1, height, width, channels times multiplier]. */
export function depthwise(step: Step, x: string, at: Convolution): string {
  const [one, height, width, out] = spatial(step, 1);
  const channels = step.dimsOf(x)[3] as number;
  if (one !== 1 || channels === 0 || out % channels !== 0)
    step.invalid(`an input of ${channels} channels does not fit the filter [${step.dims(1)}]`);
  return convolve(step, x, { ...at, kernel: [height, width], group: channels, perm: [3, 0, 1, 2] });
}

function convolve(
  step: Step,
  x: string,
  at: Convolution & {
    readonly kernel: readonly [number, number];
    readonly group: number;
    readonly perm: readonly number[];
  },
): string {
  const { kernel, strides, dilations, group } = at;
  positive(step, 'a size, stride or dilation', ...kernel, ...strides, ...dilations);
  const dims = step.dimsOf(x);
  if (dims.length !== 4) step.refuse(`its input has the rank ${dims.length}, not 4`);
  const sides = [0, 1].map((i) =>
    paddingOf(step, at.padding, {
      size: dims[1 + i] as number,
      kernel: kernel[i] as number,
      stride: strides[i] as number,
      dilation: dilations[i] as number,
    }),
  );
  const weights = step.transpose(step.float(1), at.perm);
  const added = bias(step, 2, 0, 1);
  const y = step.emit('Conv', [step.transpose(x, toChannelsFirst), weights, ...(added ? [added] : [])], {
    kernel_shape: kernel,
    strides,
    dilations,
    pads: at.pads ?? padsOf(sides),
    group,
  });
  return step.transpose(y, toChannelsLast);
}

/** What the options of both kinds of convolution say. */
export function optionsOf(step: Step): Convolution {
  const deep = step.operator.name === 'DEPTHWISE_CONV_2D' ? 1 : 0;
  return {
    padding: step.byteOption(0),
    strides: [step.intOption(2), step.intOption(1)],
    activation: step.byteOption(3 + deep),
    dilations: [step.intOption(5 + deep, 1), step.intOption(4 + deep, 1)],
  };
}

function convolution(step: Step, make: typeof conv2d): void {
  const at = optionsOf(step);
  step.give(make(step, step.float(0), at), { activation: at.activation });
}

/** The input scatters through the filter OHWI into the output that input 0 sizes; what lies outside is dropped. */
function transposeConv(step: Step): void {
  const size = step.ints(0, 'an output shape');
  const [filters, height, width, channels] = spatial(step, 1);
  const x = spatial(step, 2);
  if (size.length !== 4 || size[0] !== x[0] || size[3] !== filters || x[3] !== channels)
    step.invalid(`the output shape [${size}] does not fit the input [${x}] and the filter [${step.dims(1)}]`);
  const strides = [step.intOption(2), step.intOption(1)];
  positive(step, 'a size or stride', height, width, ...strides, ...size);
  const extra: number[] = [];
  const sides = [0, 1].map((i): [number, number] => {
    const [out, stride] = [size[1 + i] as number, strides[i] as number];
    const kernel = [height, width][i] as number;
    const [before] = paddingOf(step, step.byteOption(0), { size: out, kernel, stride, dilation: 1 });
    const behind = ((x[1 + i] as number) - 1) * stride + kernel - before - out;
    if (-behind >= stride) step.refuse(`the output shape [${size}] leaves positions that nothing reaches`);
    extra.push(Math.max(0, -behind));
    return [before, Math.max(0, behind)];
  });
  const weights = step.transpose(step.float(1), [3, 0, 1, 2]);
  const added = bias(step, 3, 2, 1);
  const inputs = [step.transpose(step.float(2), toChannelsFirst), weights, ...(added ? [added] : [])];
  const y = step.emit('ConvTranspose', inputs, {
    kernel_shape: [height, width],
    strides,
    pads: padsOf(sides),
    ...(extra.some((n) => n > 0) && { output_padding: extra }),
  });
  step.give(step.transpose(y, toChannelsLast), { activation: step.byteOption(3) });
}

/** Rows of input 0 times the transpose of weights [out, in]. */
function fullyConnected(step: Step): void {
  if (step.byteOption(1) !== 0) step.refuse(`the weights format ${step.byteOption(1)} is not supported`);
  const dims = step.dims(0);
  const weights = step.dims(1);
  const [out, width] = weights as [number, number];
  const elements = dims.reduce((product, size) => product * size, 1);
  if (weights.length !== 2 || width === 0 || elements % width !== 0)
    step.invalid(`an input [${dims}] does not fit the weights [${weights}]`);
  const keep = step.boolOption(2);
  if (keep && dims.at(-1) !== width) step.invalid(`an input [${dims}] does not fit the weights [${weights}]`);
  const rows = step.reshape(step.float(0), [elements / width, width]);
  const added = bias(step, 2, 0, 1);
  const y = step.emit('Gemm', [rows, step.float(1), ...(added ? [added] : [])], { transB: 1 });
  const given = keep ? step.reshape(y, [...dims.slice(0, -1), out]) : y;
  step.give(given, { activation: step.byteOption(0) });
}

/** Matrices along the last two axes; an adjoint of real numbers is a transpose. */
function batchMatMul(step: Step): void {
  const turned = (input: number, adjoint: boolean): string => {
    const value = step.float(input);
    const rank = step.dimsOf(value).length;
    if (rank < 2) throw invalid(`${step.label}: input ${input} has the rank ${rank}`);
    const perm = Array.from({ length: rank }, (_, i) => i);
    [perm[rank - 2], perm[rank - 1]] = [rank - 1, rank - 2];
    return adjoint ? step.transpose(value, perm) : value;
  };
  step.give(step.emit('MatMul', [turned(0, step.boolOption(0)), turned(1, step.boolOption(1))]));
}

export const convolutionRules: Rules = {
  CONV_2D: rule('Conv2D', 7, 8, [2, 3], (step) => convolution(step, conv2d)),
  DEPTHWISE_CONV_2D: rule('DepthwiseConv2D', 7, 7, [2, 3], (step) => convolution(step, depthwise)),
  TRANSPOSE_CONV: rule('TransposeConv', 5, 4, [3, 4], transposeConv),
  FULLY_CONNECTED: rule('FullyConnected', 5, 12, [2, 3], fullyConnected),
  BATCH_MATMUL: rule('BatchMatMul', 3, 4, [2, 2], batchMatMul),
};
