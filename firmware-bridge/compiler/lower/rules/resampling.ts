import type { Node } from '../../../../daemon/network/graph.js';
import { intAttribute, intsAttribute, stringAttribute } from '../../../../daemon/network/shape-rules/rule.js';
import { type Lowering, type LoweringRule, nodeName, unsupported, wholeOf } from '../lowering.js';
import { reshaped, type Value } from '../value.js';
import { imageDims } from './convolution.js';
import { matrixAlong } from './products.js';

type Axis = 2 | 3;

/**
 * Nearest neighbours by whole factors repeat pixels or skip some, which moves no byte; everything else is a matrix along
 * each axis: of two weights a row where it interpolates, of one where it takes the nearest.
 */
export const resize: LoweringRule = (node, lowering) => {
  const given = lowering.value(node, 0);
  const name = node.outputs[0] as string;
  const dims = lowering.dims(name);
  const mode = stringAttribute(node, 'mode', 'nearest');
  if ((mode !== 'nearest' && mode !== 'linear') || intAttribute(node, 'antialias', 0) !== 0)
    throw unsupported(node, `it interpolates by ${mode}`, 'Export with mode="nearest" or "linear".');
  const policy = stringAttribute(node, 'keep_aspect_ratio_policy', 'stretch');
  if (lowering.graph.opset < 11 || intsAttribute(node, 'axes') || policy !== 'stretch')
    throw unsupported(
      node,
      'Resize of opset 10, with axes or with keep_aspect_ratio_policy is not supported',
    );
  let image: Value | undefined = reshaped(given, imageDims(given.dims));
  const wanted = imageDims(dims);
  if (image?.dims.length !== 4 || image.dims[0] !== 1 || image.dims[1] !== wanted[1] || wanted[0] !== 1)
    throw unsupported(node, `[${given.dims}] to [${dims}]: only the spatial axes of one image can change`);
  const scales = lowering.numbers(node.inputs[2]);
  const repeats = new Map<Axis, number>();
  const matrices = new Map<Axis, Float32Array>();
  for (const axis of [3, 2] as const) {
    const [from, to]: [number, number] = [image.dims[axis] as number, wanted[axis] as number];
    const scale = scales?.length === given.dims.length ? scales.at(axis - 4) : undefined;
    const at = sourcesOf(node, from, to, scale ?? to / from);
    if (mode === 'linear') {
      if (at.some((place, i) => place !== i) || from !== to) matrices.set(axis, interpolation(at, from));
      continue;
    }
    const sources = nearest(node, at, from);
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
    } else matrices.set(axis, interpolation(sources, from));
  }
  for (const [axis, times] of repeats) if (times > 1) image = repeat(lowering, node, image, axis, times);
  for (const [axis, weights] of matrices) {
    const outputs = wanted[axis] as number;
    // What lies between values keeps to their range.
    image = matrixAlong(node, lowering, image, axis, { outputs, weights }, image.quantisation);
  }
  const back = reshaped(image, dims) ?? reshaped(lowering.arranged(node, image, [0, 1, 2, 3]), dims);
  if (!back) throw unsupported(node, `[${image.dims}] cannot become [${dims}]`);
  lowering.define(name, back);
};

/**
 * Where each output lies along an axis of the input (ONNX operator specification, Resize), in float32 as runtimes reckon
 * it: one by a third is three there, and a little less in doubles.
 */
function sourcesOf(node: Node, from: number, to: number, scale: number): number[] {
  const ratio = Math.fround(scale);
  const over = (i: number): number => Math.fround(i / ratio);
  const mode = stringAttribute(node, 'coordinate_transformation_mode', 'half_pixel');
  const origin: ((i: number) => number) | undefined = {
    asymmetric: over,
    half_pixel: (i: number) => Math.fround(over(i + 0.5) - 0.5),
    pytorch_half_pixel: (i: number) => (to > 1 ? Math.fround(over(i + 0.5) - 0.5) : 0),
    align_corners: (i: number) => (to > 1 ? Math.fround((i * (from - 1)) / (to - 1)) : 0),
  }[mode];
  if (!origin) throw unsupported(node, `it takes coordinates by ${mode}`);
  return Array.from({ length: to }, (_, i) => origin(i));
}

/** The one source of each output. */
function nearest(node: Node, at: readonly number[], from: number): number[] {
  const rounding = stringAttribute(node, 'nearest_mode', 'round_prefer_floor');
  const round: ((x: number) => number) | undefined = {
    round_prefer_floor: (x: number) => Math.ceil(x - 0.5),
    round_prefer_ceil: (x: number) => Math.floor(x + 0.5),
    floor: Math.floor,
    ceil: Math.ceil,
  }[rounding];
  if (!round) throw unsupported(node, `it rounds by ${rounding}`);
  return at.map((place) => Math.min(from - 1, Math.max(0, round(place))));
}

/** [out][in]: the weights of the two neighbours of each place, which beyond the ends are the end. */
function interpolation(at: readonly number[], from: number): Float32Array {
  const weights = new Float32Array(at.length * from);
  for (const [i, place] of at.entries()) {
    const inside = Math.min(from - 1, Math.max(0, place));
    const low = Math.floor(inside);
    weights[i * from + low] = 1 - (inside - low);
    if (inside > low) weights[i * from + low + 1] = inside - low;
  }
  return weights;
}

/** Each pixel, or each line of pixels, several times: a transpose whose repeated axis moves on by no byte. */
function repeat(lowering: Lowering, node: Node, image: Value, axis: Axis, times: number): Value {
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
