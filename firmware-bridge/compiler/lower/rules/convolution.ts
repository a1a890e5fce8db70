import type { Node } from '../../../../daemon/network/graph.js';
import { intAttribute, intsAttribute, stringAttribute } from '../../../../daemon/network/shape-rules/rule.js';
import { tapMeans } from '../../quantise/channel-means.js';
import { limitsOf } from '../../quantise/quantisation.js';
import { type LayerConstants, layerStep, quantiseWeights } from '../../quantise/quantise-weights.js';
import { type Lowering, type LoweringRule, nodeName, unsupported } from '../lowering.js';
import type { Body, Read, View, Window } from '../operators.js';
import { rowsAlong, type Value } from '../value.js';
import { clampAttributes } from './clamp-attributes.js';
import { repeatedAlong, splitWeights, weightParts } from './wide-weights.js';

export const convolution: LoweringRule = (node, lowering) => {
  const weight = lowering.floats(node.inputs[1]);
  const dims = lowering.dims(node.inputs[1] as string);
  if (!weight) throw unsupported(node, 'its weights are no float constant');
  const [kernelHeight, kernelWidth] = imageDims(dims).slice(2) as [number, number];
  const given = windowOf(node, lowering, [kernelHeight, kernelWidth]);
  const groups = intAttribute(node, 'group', 1);
  const name = node.outputs[0] as string;
  const scales = lowering.weightScales(node, node.inputs[1] as string, 0);
  const single = channelsInside(weight, imageDims(dims));
  // Weights of more than eight bits are sums of several, each with its own copy of the input.
  const parts = weightParts(single, scales);
  const inside = scales && parts > 1 ? splitWeights(single, scales, parts) : single;
  const image = imageOf(node, lowering);
  const x = parts > 1 ? repeatedAlong(node, lowering, image, 1, parts) : image;
  const window = { ...given, inChannels: given.inChannels * parts, inStride: given.inStride * parts };
  const y = lowering.allocate(
    name,
    imageDims(lowering.dims(name)),
    lowering.quantisationFor(name, layerStep(inside, x.quantisation)),
  );
  const bias = node.inputs[2] ? lowering.floats(node.inputs[2]) : undefined;
  if (node.inputs[2] && !bias) throw unsupported(node, 'its bias is no float constant');
  const [low, high] = limitsOf(clampAttributes(node), y.quantisation);
  const common = { low, high, x: x.quantisation, y: y.quantisation };
  const means = parts === 1 ? lowering.means(node.inputs[0] as string, 1) : undefined;
  const constantsOf = (from: number, outputs: number): LayerConstants =>
    quantiseWeights(
      nodeName(node),
      {
        outputs,
        weights: inside.subarray(
          (from * inside.length) / window.outChannels,
          ((from + outputs) * inside.length) / window.outChannels,
        ),
        bias: bias?.subarray(from, from + outputs),
        scales: scales?.subarray(from, from + outputs),
        means: tapMeans(means, meanAt(window, groups, from)),
      },
      x.quantisation,
      y.quantisation,
    );
  const emit = (body: Body, read: Read, write: View): void =>
    lowering.emit({ name: nodeName(node), body, reads: [read], write });
  const { inChannels, outChannels } = window;
  if (groups === inChannels && groups === outChannels && groups > 1) {
    const constants = constantsOf(0, outChannels);
    for (const [from, to] of imagePairs(x, y))
      emit(
        { kind: 'depthwise', window, constants, ...common },
        { view: linesOf(from), access: 'window' },
        linesOf(to),
      );
  } else if (groups === 1 && isPointwise(window)) {
    emit(
      { kind: 'linear', constants: constantsOf(0, outChannels), ...common },
      { view: pixelsOf(x), access: 'rows' },
      pixelsOf(y),
    );
  } else {
    const [inputs, outputs] = [inChannels / groups, outChannels / groups];
    for (let g = 0; g < groups; g++) {
      const part: Window = { ...window, inChannels: inputs, outChannels: outputs };
      const constants = constantsOf(g * outputs, outputs);
      // A slice of the channels ends before the pixel does.
      const slice = (image: Value, channels: number, part: number): View => {
        const whole = linesOf(image);
        return { ...whole, offset: whole.offset + g * part, width: whole.width - channels + part };
      };
      for (const [from, to] of imagePairs(x, y))
        emit(
          { kind: 'conv', window: part, constants, ...common },
          { view: slice(from, inChannels, inputs), access: 'window' },
          slice(to, outChannels, outputs),
        );
    }
  }
  defineImage(lowering, name, y);
};

/**
 * What each tap of a convolution sees on average: the mean of its channel, times the share of places at which the tap lies
 * within the image.
 */
function meanAt(
  { inHeight, inWidth, outHeight, outWidth, kernel, stride, dilation, padTop, padLeft, ...window }: Window,
  groups: number,
  first: number,
): (means: readonly number[]) => (output: number, k: number) => number {
  const share = (
    tap: number,
    [size, out]: [number, number],
    step: number,
    apart: number,
    pad: number,
  ): number => {
    let inside = 0;
    for (let i = 0; i < out; i++) {
      const at = i * step + tap * apart - pad;
      if (at >= 0 && at < size) inside++;
    }
    return inside / out;
  };
  const down = Array.from({ length: kernel[0] }, (_, tap) =>
    share(tap, [inHeight, outHeight], stride[0], dilation[0], padTop),
  );
  const across = Array.from({ length: kernel[1] }, (_, tap) =>
    share(tap, [inWidth, outWidth], stride[1], dilation[1], padLeft),
  );
  const [inputs, outputs] = [window.inChannels / groups, window.outChannels / groups];
  return (means) => (output, k) => {
    const tap = Math.floor(k / inputs);
    const channel = Math.floor((first + output) / outputs) * inputs + (k % inputs);
    return (
      (means[channel] as number) *
      (down[Math.floor(tap / kernel[1])] as number) *
      (across[tap % kernel[1]] as number)
    );
  };
}

/** A sequence [1, C, L] as an image of one line; images as they are. */
export const imageDims = (dims: readonly number[]): readonly number[] =>
  dims.length === 3 ? [dims[0] as number, dims[1] as number, 1, dims[2] as number] : dims;

/** The image, or the sequence that it is one line of. */
export const defineImage = (lowering: Lowering, name: string, image: Value): Value =>
  lowering.define(name, fromImage(image, lowering.dims(name).length));

const isPointwise = (window: Window): boolean =>
  [...window.kernel, ...window.stride].every((size) => size === 1) && !hasPadding(window);

const hasPadding = ({ padTop, padLeft, inWidth, outWidth, inHeight, outHeight }: Window): boolean =>
  padTop > 0 || padLeft > 0 || inWidth !== outWidth || inHeight !== outHeight;

/** [out, in, ky, kx] to [out][ky][kx][in]. */
function channelsInside(weight: Float32Array, dims: readonly number[]): Float32Array {
  const [outputs, inputs, height, width] = dims as [number, number, number, number];
  const area = height * width;
  if (inputs === 1) return weight;
  const moved = new Float32Array(weight.length);
  for (let n = 0; n < outputs; n++)
    for (let c = 0; c < inputs; c++)
      for (let k = 0; k < area; k++)
        moved[(n * area + k) * inputs + c] = weight[(n * inputs + c) * area + k] as number;
  return moved;
}

/** The image input of a node, dense and channels last; several images lie one behind the other. */
export function imageOf(node: Node, lowering: Lowering): Value {
  const given = lowering.value(node, 0);
  const x = imageDims(given.dims).length === 4 ? asImage(given) : undefined;
  if (!x)
    throw unsupported(
      node,
      `its input is [${given.dims}], neither images nor sequences`,
      'Export the model with one or two spatial axes.',
    );
  return lowering.arranged(node, x, [0, 2, 3, 1]);
}

/** A sequence as an image of one line, without moving it. */
export function asImage(value: Value): Value {
  if (value.dims.length !== 3) return value;
  const [n, c, l] = value.strides as [number, number, number];
  return { ...value, dims: imageDims(value.dims), strides: [n, c, l * (value.dims[2] as number), l] };
}

/** The image as the network has it: a sequence without its one line. */
export function fromImage(image: Value, rank: number): Value {
  if (rank !== 3) return image;
  const without = (of: readonly number[]): number[] => of.filter((_, axis) => axis !== 2);
  return { ...image, dims: without(image.dims), strides: without(image.strides) };
}

/** Each image of a batch with the one that is made of it. */
export function imagePairs(x: Value, y: Value): readonly (readonly [Value, Value])[] {
  const one = (value: Value, n: number): Value => ({
    ...value,
    offset: value.offset + n * (value.strides[0] as number),
    dims: [1, ...value.dims.slice(1)],
  });
  const count = x.dims[0] as number;
  return count === 1 ? [[x, y]] : Array.from({ length: count }, (_, n) => [one(x, n), one(y, n)] as const);
}

/** One tap to each pixel. */
export const plainWindow = (channels: number, height: number, width: number): Window => ({
  inHeight: height,
  outHeight: height,
  inWidth: width,
  outWidth: width,
  inChannels: channels,
  outChannels: channels,
  inStride: channels,
  outStride: channels,
  kernel: [1, 1],
  stride: [1, 1],
  dilation: [1, 1],
  padTop: 0,
  padLeft: 0,
});

/** An image as lines of pixels. */
export const linesOf = (image: Value): View => {
  const [, channels, height, width] = image.dims as [number, number, number, number];
  return {
    storage: image.storage,
    offset: image.offset,
    batch: 1,
    batchStride: 0,
    rows: height,
    rowStride: width * channels,
    width: width * channels,
  };
};

/** An image as pixels of channels. */
export const pixelsOf = (image: Value): View => rowsAlong(image, [0, 2, 3], [1]) as View;

/** Geometry of a sliding window over a channels-last image. */
export function windowOf(node: Node, lowering: Lowering, kernel: readonly [number, number]): Window {
  const x = imageDims(lowering.dims(node.inputs[0] as string));
  const y = imageDims(lowering.dims(node.outputs[0] as string));
  if (x.length !== 4) throw unsupported(node, `its input is [${x}]`, 'One or two spatial axes can run.');
  const pair = (name: string): readonly [number, number] => {
    const given = intsAttribute(node, name) ?? [1, 1];
    return given.length === 1 ? [1, given[0] as number] : (given as readonly [number, number]);
  };
  const [stride, dilation] = [pair('strides'), pair('dilations')];
  const mode = stringAttribute(node, 'auto_pad', 'NOTSET');
  const pads = intsAttribute(node, 'pads') ?? [0, 0, 0, 0];
  const given = pads.length === 2 ? [0, pads[0] as number] : pads;
  if (mode === 'NOTSET' && pads.some((width) => width < 0))
    throw unsupported(node, `its pads are [${pads}]: negative ones cut the image`);
  if (!['NOTSET', 'VALID', 'SAME_UPPER', 'SAME_LOWER'].includes(mode))
    throw unsupported(node, `its auto_pad is ${mode}`);
  const before = [0, 1].map((axis) => {
    if (mode === 'NOTSET') return given[axis] as number;
    if (mode === 'VALID') return 0;
    const reach = ((kernel[axis] as number) - 1) * (dilation[axis] as number) + 1;
    const total = Math.max(
      0,
      ((y[axis + 2] as number) - 1) * (stride[axis] as number) + reach - (x[axis + 2] as number),
    );
    return mode === 'SAME_UPPER' ? total >> 1 : (total + 1) >> 1;
  }) as [number, number];
  return {
    inHeight: x[2] as number,
    outHeight: y[2] as number,
    inWidth: x[3] as number,
    inChannels: x[1] as number,
    inStride: x[1] as number,
    outWidth: y[3] as number,
    outChannels: y[1] as number,
    outStride: y[1] as number,
    kernel,
    stride,
    dilation,
    padTop: before[0],
    padLeft: before[1],
  };
}
