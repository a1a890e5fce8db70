import { intAttribute, stringAttribute } from '../../../../daemon/network/shape-rules/rule.js';
import { padWidths } from '../../passes/fold-pads.js';
import { type Lowering, type LoweringRule, nodeName, unsupported, wholeOf } from '../lowering.js';
import { reshaped, transposed, type Value } from '../value.js';
import { imageDims, linesOf } from './convolution.js';

type Axis = 2 | 3;

/** Zeros around an image or behind tokens: an average over one element each, which is zero outside. */
export const pad: LoweringRule = (node, lowering) => {
  const given = lowering.value(node, 0);
  const name = node.outputs[0] as string;
  const rank = given.dims.length;
  const widths = padWidths(node, rank, (input) => lowering.numbers(input));
  if (!widths) throw unsupported(node, 'only constant zeros can be put around');
  const { before, after } = widths;
  const axes = before.flatMap((width, axis) => (width + (after[axis] as number) > 0 ? [axis] : []));
  // Tokens [1, tokens, width] are an image of one column.
  const tokens = rank === 3 && axes.length === 1 && axes[0] === 1;
  const image = tokens ? transposed(given, [0, 2, 1]) : given;
  if (!tokens && !axes.every((axis) => axis >= 2)) throw unsupported(node, `it widens the axes ${axes}`);
  const asImage = tokens
    ? ([n, c, t]: readonly number[]) => [n as number, c as number, t as number, 1]
    : imageDims;
  const x = channelsLastImage(lowering, node, image, asImage(image.dims));
  const outDims = image.dims.map((size, i) => {
    const axis = tokens && i > 0 ? 3 - i : i;
    return size + (before[axis] as number) + (after[axis] as number);
  });
  const y = lowering.allocate(name, asImage(outDims), given.quantisation);
  const [, channels, inHeight, inWidth] = x.dims as [number, number, number, number];
  const [, , outHeight, outWidth] = y.dims as [number, number, number, number];
  lowering.emit({
    name: nodeName(node),
    body: {
      kind: 'averagePool',
      window: {
        inHeight,
        inWidth,
        inChannels: channels,
        inStride: channels,
        outHeight,
        outWidth,
        outChannels: channels,
        outStride: channels,
        kernel: [1, 1],
        stride: [1, 1],
        dilation: [1, 1],
        padTop: tokens ? (before[1] as number) : rank === 4 ? (before[2] as number) : 0,
        padLeft: tokens ? 0 : (before[rank - 1] as number),
      },
      countsPadding: true,
      x: given.quantisation,
      y: given.quantisation,
      low: -128,
      high: 127,
    },
    reads: [{ view: linesOf(x), access: 'window' }],
    write: linesOf(y),
  });
  const back = reshaped(y, outDims) as Value;
  lowering.define(name, tokens ? transposed(back, [0, 2, 1]) : back);
};

function channelsLastImage(
  lowering: Lowering,
  node: Parameters<LoweringRule>[0],
  value: Value,
  dims: readonly number[],
): Value {
  const image = reshaped(value, dims);
  if (image?.dims.length !== 4 || image.dims[0] !== 1)
    throw unsupported(node, `its input is [${value.dims}], not one image`);
  return lowering.arranged(node, image, [0, 2, 3, 1]);
}

/** Nearest neighbour: whole multiples repeat pixels, whole parts skip some, which moves no byte. */
export const resize: LoweringRule = (node, lowering) => {
  const given = lowering.value(node, 0);
  const name = node.outputs[0] as string;
  const dims = lowering.dims(name);
  if (stringAttribute(node, 'mode', 'nearest') !== 'nearest' || intAttribute(node, 'antialias', 0) !== 0)
    throw unsupported(
      node,
      'it interpolates',
      'Only nearest neighbours can run: export with mode="nearest".',
    );
  let image: Value | undefined = reshaped(given, imageDims(given.dims));
  const wanted = imageDims(dims);
  if (image?.dims.length !== 4 || image.dims[0] !== 1 || image.dims[1] !== wanted[1] || wanted[0] !== 1)
    throw unsupported(node, `[${given.dims}] to [${dims}]: only the spatial axes of one image can change`);
  const scales = lowering.numbers(node.inputs[2]);
  const repeats = new Map<Axis, number>();
  for (const axis of [3, 2] as const) {
    const [from, to]: [number, number] = [image.dims[axis] as number, wanted[axis] as number];
    const scale = scales?.length === given.dims.length ? scales.at(axis - 4) : undefined;
    const sources = nearest(node, from, to, scale ?? to / from);
    const first = sources[0] as number;
    const step = to > 1 ? (sources[1] as number) - first : 1;
    if (to % from === 0 && sources.every((source, i) => source === Math.floor((i * from) / to)))
      repeats.set(axis, to / from);
    else if (step > 0 && sources.every((source, i) => source === first + i * step)) {
      const stride = image.strides[axis] as number;
      image = {
        ...image,
        offset: image.offset + first * stride,
        dims: image.dims.map((size, i) => (i === axis ? to : size)),
        strides: image.strides.map((old, i) => (i === axis ? old * step : old)),
      };
    } else throw unsupported(node, `${from} to ${to} is no whole factor`);
  }
  for (const [axis, times] of repeats) if (times > 1) image = repeat(lowering, node, image, axis, times);
  const back = reshaped(image, dims);
  if (!back) throw unsupported(node, `[${image.dims}] cannot become [${dims}]`);
  lowering.define(name, back);
};

/**
 * The source of each output along an axis (ONNX operator specification, Resize), in float32 as runtimes reckon it: one by a
 * third is three there, and a little less in doubles.
 */
function nearest(node: Parameters<LoweringRule>[0], from: number, to: number, scale: number): number[] {
  const ratio = Math.fround(scale);
  const over = (i: number): number => Math.fround(i / ratio);
  const mode = stringAttribute(node, 'coordinate_transformation_mode', 'half_pixel');
  const rounding = stringAttribute(node, 'nearest_mode', 'round_prefer_floor');
  const origin: ((i: number) => number) | undefined = {
    asymmetric: over,
    half_pixel: (i: number) => Math.fround(over(i + 0.5) - 0.5),
    pytorch_half_pixel: (i: number) => (to > 1 ? Math.fround(over(i + 0.5) - 0.5) : 0),
    align_corners: (i: number) => (to > 1 ? Math.fround((i * (from - 1)) / (to - 1)) : 0),
  }[mode];
  const round: ((x: number) => number) | undefined = {
    round_prefer_floor: (x: number) => Math.ceil(x - 0.5),
    round_prefer_ceil: (x: number) => Math.floor(x + 0.5),
    floor: Math.floor,
    ceil: Math.ceil,
  }[rounding];
  if (!origin || !round) throw unsupported(node, `it takes coordinates by ${mode}, ${rounding}`);
  return Array.from({ length: to }, (_, i) => Math.min(from - 1, Math.max(0, round(origin(i)))));
}

/** Each pixel, or each line of pixels, several times: a transpose whose repeated axis moves on by no byte. */
function repeat(
  lowering: Lowering,
  node: Parameters<LoweringRule>[0],
  image: Value,
  axis: Axis,
  times: number,
): Value {
  const x = lowering.arranged(node, image, [0, 2, 3, 1]);
  const [, channels, height, width] = x.dims as [number, number, number, number];
  const dims = x.dims.map((size, i) => (i === axis ? size * times : size));
  const y = lowering.allocate(`${node.outputs[0]}.${axis === 3 ? 'wide' : 'tall'}`, dims, x.quantisation);
  const line = width * channels;
  const body =
    axis === 3
      ? { dims: [height, width, times, channels], strides: [line, channels, 0, 1] }
      : { dims: [height, times, width, channels], strides: [line, 0, channels, 1] };
  lowering.emit({
    name: nodeName(node),
    body: { kind: 'transpose', ...body },
    reads: [{ view: wholeOf(x), access: 'all' }],
    write: wholeOf(y),
  });
  return y;
}
