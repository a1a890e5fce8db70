import type { Node } from '../../../../daemon/network/graph.js';
import { intAttribute, intsAttribute, stringAttribute } from '../../../../daemon/network/shape-rules/rule.js';
import { limitsOf } from '../../quantise/quantisation.js';
import { type LayerConstants, layerStep, quantiseWeights } from '../../quantise/quantise-weights.js';
import { type Lowering, type LoweringRule, nodeName, unsupported, wholeOf } from '../lowering.js';
import type { Body, View, Window } from '../operators.js';
import type { Value } from '../value.js';
import { spread } from './blocks.js';
import { clampAttributes } from './clamp-attributes.js';
import { defineImage, imageDims, imageOf, imagePairs, linesOf, pixelsOf } from './convolution.js';

/** The most taps of a depthwise record (ABI.md, "Errors"). */
const mostDepthwiseTaps = 64;

/**
 * A transposed convolution as a convolution of stride 1 whose channels are the pixels of a patch as large as the stride
 * (Shi et al., CVPR 2016, "Real-time single image and video super-resolution"); a transpose then spreads the patches. Every
 * product is one that the operator itself has.
 */
export const transposedConvolution: LoweringRule = (node, lowering) => {
  const weight = lowering.floats(node.inputs[1]);
  if (!weight) throw unsupported(node, 'its weights are no float constant');
  const bias = node.inputs[2] ? lowering.floats(node.inputs[2]) : undefined;
  if (node.inputs[2] && !bias) throw unsupported(node, 'its bias is no float constant');
  const x = imageOf(node, lowering);
  const name = node.outputs[0] as string;
  const wanted = imageDims(lowering.dims(name));
  const isSequence = lowering.dims(name).length === 3;
  const [, perGroup, ...kernel] = imageDims(lowering.dims(node.inputs[1] as string)) as number[];
  const [, channels, height, width] = x.dims as [number, number, number, number];
  const [down, across] = [0, 1].map((axis) =>
    axisOf(
      attributesOf(node, isSequence, axis as 0 | 1),
      kernel[axis] as number,
      axis === 0 ? height : width,
      wanted[axis + 2] as number,
    ),
  ) as [Axis, Axis];
  const groups = intAttribute(node, 'group', 1);
  const scales = lowering.weightScales(node, node.inputs[1] as string, 1);
  const layer: Layer = { weight, bias, scales, groups, channels, perGroup: perGroup as number, down, across };
  const quantisation = lowering.quantisationFor(name, layerStep(weight, x.quantisation));
  const area = down.stride * across.stride;
  const outputs = groups * layer.perGroup;
  const patches = lowering.allocate(
    `${name}.patches`,
    [x.dims[0] as number, area * outputs, down.out, across.out],
    quantisation,
  );
  const made = convolved(node, lowering, x, patches, layer);
  const image = area === 1 ? made : spread(node, lowering, made, [down.stride, across.stride]);
  const offset =
    image.offset + down.crop * (image.strides[2] as number) + across.crop * (image.strides[3] as number);
  defineImage(lowering, name, { ...image, offset, dims: wanted });
};

/** How one axis of a transposed convolution becomes one of a convolution over patches. */
interface Axis {
  readonly kernel: number;
  readonly stride: number;
  /** Pixels of the input that a patch depends on, and how far apart they lie. */
  readonly taps: number;
  readonly step: number;
  /** Of the convolution. */
  readonly pad: number;
  readonly out: number;
  /** Pixels of the first patch that lie before the result. */
  readonly crop: number;
  /** Dilation of the operator itself. */
  readonly dilation: number;
}

/** Pixel f of the uncropped result adds input i by tap k where f = i stride + k dilation (ONNX, ConvTranspose). */
function axisOf(own: Attributes, kernel: number, size: number, wanted: number): Axis {
  const [stride, dilation] = [own('strides', 1), own('dilations', 1)];
  const reach = (kernel - 1) * dilation;
  const before = padBefore(own, stride * (size - 1) + reach + 1, wanted);
  // Without a stride the taps lie as far apart as they do in the operator; with one, at every pixel up to the furthest.
  const furthest = Math.floor(reach / stride);
  const [taps, step] = stride === 1 ? [kernel, dilation] : [furthest + 1, 1];
  const first = Math.min(Math.floor(before / stride), furthest);
  const crop = before - first * stride;
  const out = Math.floor((crop + wanted - 1) / stride) + 1;
  return { kernel, stride, dilation, taps, step, pad: furthest - first, out, crop };
}

/** A node's attributes along one spatial axis. */
interface Attributes {
  (name: string, fallback: number): number;
  readonly mode: string;
  /** Whether the padding follows from the size of the result. */
  readonly fitted: boolean;
}

/** The attributes along an axis of the image; a sequence has only the second of the two. */
function attributesOf(node: Node, isSequence: boolean, axis: 0 | 1): Attributes {
  const mode = stringAttribute(node, 'auto_pad', 'NOTSET');
  const along = (name: string, fallback: number): number => {
    const given = intsAttribute(node, name);
    if (!given || (isSequence && axis === 0)) return fallback;
    return given[isSequence ? 0 : axis] ?? fallback;
  };
  const isFlat = isSequence && axis === 0;
  // With an output_shape, VALID pads as well, in the way of NOTSET.
  const sized = (intsAttribute(node, 'output_shape')?.length ?? 0) > 0;
  return Object.assign(along, { mode, fitted: !isFlat && (sized || mode.startsWith('SAME')) });
}

/** Pixels cut off before the result. `natural` is its size without padding and output padding. */
function padBefore(own: Attributes, natural: number, wanted: number): number {
  if (!own.fitted) return own.mode === 'NOTSET' ? own('pads', 0) : 0;
  // A result larger than what the kernel reaches grows behind.
  const total = Math.max(0, natural + own('output_padding', 0) - wanted);
  return own.mode === 'SAME_UPPER' ? Math.floor(total / 2) : total - Math.floor(total / 2);
}

interface Layer {
  /** [channels][outputs of a group][kernel]. */
  readonly weight: Float32Array;
  readonly bias: Float32Array | undefined;
  /** Of each output of a group, where the network gives its weights as integers. */
  readonly scales: Float32Array | undefined;
  readonly groups: number;
  readonly channels: number;
  readonly perGroup: number;
  readonly down: Axis;
  readonly across: Axis;
}

/** The patches as pixels, their channels in the order (row of the patch, pixel of the row, channel). */
function convolved(node: Node, lowering: Lowering, x: Value, patches: Value, layer: Layer): Value {
  const { groups, channels, perGroup, down, across } = layer;
  const area = down.stride * across.stride;
  const [low, high] = limitsOf(clampAttributes(node), patches.quantisation);
  const common = { low, high, x: x.quantisation, y: patches.quantisation };
  const emit = (body: Body, read: View, access: 'rows' | 'window' | 'all', write: View): void =>
    lowering.emit({ name: nodeName(node), body, reads: [{ view: read, access }], write });
  const window: Window = {
    inHeight: x.dims[2] as number,
    inWidth: x.dims[3] as number,
    inChannels: channels,
    inStride: channels,
    outHeight: down.out,
    outWidth: across.out,
    outChannels: area * groups * perGroup,
    outStride: area * groups * perGroup,
    kernel: [down.taps, across.taps],
    stride: [1, 1],
    dilation: [down.step, across.step],
    padTop: down.pad,
    padLeft: across.pad,
  };
  const depthwise = groups === channels && perGroup === 1 && groups > 1;
  if (depthwise && down.taps * across.taps <= mostDepthwiseTaps) {
    const constants = constantsOf(node, layer, x, patches, 0, groups);
    const inputs = area === 1 ? x : copies(node, lowering, x, area);
    const wide = { ...window, inChannels: area * channels, inStride: area * channels };
    for (const [from, to] of imagePairs(inputs, patches))
      emit({ kind: 'depthwise', window: wide, constants, ...common }, linesOf(from), 'window', linesOf(to));
    return patches;
  }
  const [inputs, outputs] = [channels / groups, area * perGroup];
  const isPixelwise =
    window.kernel.every((taps) => taps === 1) &&
    down.pad + across.pad === 0 &&
    down.out === window.inHeight &&
    across.out === window.inWidth;
  if (groups === 1 && isPixelwise) {
    const constants = constantsOf(node, layer, x, patches, 0, 1);
    emit({ kind: 'linear', constants, ...common }, pixelsOf(x), 'rows', pixelsOf(patches));
    return patches;
  }
  const part = { ...window, inChannels: inputs, outChannels: outputs };
  for (let g = 0; g < groups; g++) {
    const constants = constantsOf(node, layer, x, patches, g, 1);
    for (const [from, to] of imagePairs(x, patches).map((pair) => pair.map(linesOf) as [View, View]))
      emit(
        { kind: 'conv', window: part, constants, ...common },
        { ...from, offset: from.offset + g * inputs, width: from.width - channels + inputs },
        'window',
        { ...to, offset: to.offset + g * outputs, width: to.width - window.outChannels + outputs },
      );
  }
  if (groups === 1 || area === 1) return patches;
  // Group by group so far: the pixels of a patch come before the groups.
  const ordered = lowering.allocate(`${node.outputs[0]}.ordered`, patches.dims, patches.quantisation);
  emit(
    {
      kind: 'transpose',
      dims: [(x.dims[0] as number) * down.out * across.out, area, groups, perGroup],
      strides: [window.outChannels, perGroup, outputs, 1],
    },
    wholeOf(patches),
    'all',
    wholeOf(ordered),
  );
  return ordered;
}

/** Each pixel's channels as often as a patch has pixels: a depthwise layer makes one output of each channel. */
function copies(node: Node, lowering: Lowering, x: Value, area: number): Value {
  const [count, channels, height, width] = x.dims as [number, number, number, number];
  const made = lowering.allocate(
    `${node.outputs[0]}.copies`,
    [count, area * channels, height, width],
    x.quantisation,
  );
  lowering.emit({
    name: nodeName(node),
    body: { kind: 'transpose', dims: [count * height * width, area, channels], strides: [channels, 0, 1] },
    reads: [{ view: wholeOf(x), access: 'all' }],
    write: wholeOf(made),
  });
  return made;
}

/**
 * The layer of `count` groups from `group` on: outputs in the order (row of the patch, pixel of the row, channel), weights
 * [output][tap down][tap across][input of the group], zero where no tap of the operator falls.
 */
function constantsOf(
  node: Node,
  { weight, bias, scales, groups, channels, perGroup, down, across }: Layer,
  x: Value,
  y: Value,
  group: number,
  count: number,
): LayerConstants {
  const inputs = channels / groups;
  const own = count * perGroup;
  const taps = down.taps * across.taps;
  const outputs = down.stride * across.stride * own;
  const depth = taps * inputs;
  const weights = new Float32Array(outputs * depth);
  for (let ky = 0; ky < down.kernel; ky++)
    for (let kx = 0; kx < across.kernel; kx++) {
      const [row, tapDown] = placeOf(down, ky);
      const [column, tapAcross] = placeOf(across, kx);
      for (let o = 0; o < own; o++)
        for (let c = 0; c < inputs; c++) {
          const channel = (group + Math.floor(o / perGroup)) * inputs + c;
          const output = (row * across.stride + column) * own + o;
          const at = output * depth + (tapDown * across.taps + tapAcross) * inputs + c;
          const from = (channel * perGroup + (o % perGroup)) * down.kernel * across.kernel;
          weights[at] = weight[from + ky * across.kernel + kx] as number;
        }
    }
  const first = group * perGroup;
  const values = {
    outputs,
    weights,
    bias: bias && Float32Array.from({ length: outputs }, (_, i) => bias[first + (i % own)] as number),
    scales: scales && Float32Array.from({ length: outputs }, (_, i) => scales[i % perGroup] as number),
  };
  return quantiseWeights(nodeName(node), values, x.quantisation, y.quantisation);
}

/** Which pixel of the patch tap k adds to, and by which tap of the convolution, whose taps run the other way. */
function placeOf({ stride, dilation, taps, step }: Axis, k: number): readonly [number, number] {
  const reach = k * dilation;
  const tap = Math.floor(reach / stride) / step;
  return [reach % stride, taps - 1 - tap];
}
