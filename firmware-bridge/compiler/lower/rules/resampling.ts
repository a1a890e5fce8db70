import type { Node } from '../../../../daemon/network/graph.js';
import {
  axisOf,
  floatsAttribute,
  intAttribute,
  intsAttribute,
  stringAttribute,
} from '../../../../daemon/network/shape-rules/rule.js';
import { type Quantisation, quantisationOf } from '../../quantise/quantisation.js';
import { type Lowering, type LoweringRule, nodeName, unsupported, wholeOf } from '../lowering.js';
import type { Value } from '../value.js';
import { asImage, fromImage } from './convolution.js';
import { matrixAlong } from './products.js';
import { choosing, interpolating, nearestSources, type ResizedAxis, sourcesOf } from './resample-weights.js';

/**
 * Resize, and Upsample before it. Nearest neighbours by whole factors repeat pixels of an image or skip some, which moves
 * no byte; everything else is a matrix along each axis that changes: interpolation is separable.
 */
export const resize: LoweringRule = (node, lowering) => {
  let value = lowering.value(node, 0);
  const mode = modeOf(node, lowering);
  const matrices: { axis: number; weights: Float32Array; outputs: number }[] = [];
  const repeats: { axis: number; times: number }[] = [];
  for (const [axis, resized] of resizedAxes(node, lowering, value.dims).reverse()) {
    const { from, to } = resized;
    const places = sourcesOf(node, resized, lowering.opset);
    if (mode !== 'nearest') {
      if (from === to && places.every((place, i) => place === i)) continue;
      matrices.push({ axis, outputs: to, weights: interpolating(node, places, resized, mode) });
      continue;
    }
    const sources = nearestSources(node, places, resized, lowering.opset);
    const skipped = skipping(value, axis, sources);
    const isWhole = to % from === 0 && sources.every((source, i) => source === Math.floor((i * from) / to));
    if (isWhole && isSpatial(value, axis)) repeats.push({ axis, times: to / from });
    else if (skipped) value = skipped;
    else matrices.push({ axis, outputs: to, weights: choosing(sources, from) });
  }
  for (const { axis, times } of repeats) if (times > 1) value = repeat(lowering, node, value, axis, times);
  const name = node.outputs[0] as string;
  for (const [i, { axis, ...matrix }] of matrices.entries()) {
    const isLast = i === matrices.length - 1;
    // What lies between values keeps to their range; a cubic filter overshoots it.
    const quantisation =
      mode !== 'cubic'
        ? value.quantisation
        : isLast
          ? lowering.quantisation(name)
          : overshoot(value.quantisation, matrix.weights, value.dims[axis] as number);
    value = matrixAlong(node, lowering, value, axis, matrix, quantisation);
  }
  lowering.define(name, value);
};

function modeOf(node: Node, { opset }: Lowering): string {
  const mode = stringAttribute(node, 'mode', 'nearest');
  // Upsample's first name for it.
  if (mode === 'bilinear') return 'linear';
  const known = opset < 11 ? ['nearest', 'linear'] : ['nearest', 'linear', 'cubic'];
  if (!known.includes(mode)) throw unsupported(node, `its mode is ${mode} (opset ${opset})`);
  if (mode === 'nearest' && intAttribute(node, 'antialias', 0) !== 0)
    throw unsupported(node, 'it asks for antialiasing of nearest neighbours');
  return mode;
}

/** Every axis by its place: what the scales or sizes of the node's operator set say of it. */
function resizedAxes(node: Node, lowering: Lowering, dims: readonly number[]): [number, ResizedAxis][] {
  const out = lowering.dims(node.outputs[0] as string);
  const axes = intsAttribute(node, 'axes')?.map((axis) => axisOf(node, axis, dims.length)) ?? [
    ...dims.keys(),
  ];
  const given = (i: number): readonly number[] | undefined => {
    const values = lowering.numbers(node.inputs[i]);
    return values?.length ? values : undefined;
  };
  const scales =
    node.op === 'Upsample' && lowering.opset < 9
      ? floatsAttribute(node, 'scales')
      : given(lowering.opset < 11 ? 1 : 2);
  const policy = stringAttribute(node, 'keep_aspect_ratio_policy', 'stretch');
  const ratios = axes.map((axis) => Math.fround((out[axis] as number) / (dims[axis] as number)));
  const sizes = given(3);
  const asked = sizes && axes.map((axis, i) => Math.fround((sizes[i] as number) / (dims[axis] as number)));
  // One scale for all axes keeps the ratio; sizes follow from it.
  const common =
    policy === 'stretch' || !asked
      ? undefined
      : policy === 'not_larger'
        ? Math.min(...asked)
        : Math.max(...asked);
  if (`${dims}` === `${out}` && scales?.some((scale) => scale !== 1))
    throw unsupported(node, `its scales ${scales} change no size, which runtimes take for a copy`);
  return axes.map((axis, i) => {
    const scale = scales?.[i] ?? common ?? (ratios[i] as number);
    return [axis, { from: dims[axis] as number, to: out[axis] as number, scale: Math.fround(scale) }];
  });
}

/** Every n-th element along an axis, which moves no byte; undefined where the sources do not lie so. */
function skipping(value: Value, axis: number, sources: readonly number[]): Value | undefined {
  const first = sources[0] as number;
  const step = sources.length > 1 ? (sources[1] as number) - first : 1;
  if (step <= 0 || !sources.every((source, i) => source === first + i * step)) return undefined;
  const stride = value.strides[axis] as number;
  return {
    ...value,
    offset: value.offset + first * stride,
    dims: value.dims.map((size, i) => (i === axis ? sources.length : size)),
    strides: value.strides.map((old, i) => (i === axis ? old * step : old)),
  };
}

/** Whether an axis is one of the lines or pixels of one image or sequence. */
const isSpatial = ({ dims }: Value, axis: number): boolean =>
  (dims.length === 3 || dims.length === 4) && dims[0] === 1 && axis >= 2;

/** A quantisation that holds all that a matrix makes of values in another. */
function overshoot({ scale, zeroPoint }: Quantisation, weights: Float32Array, inputs: number): Quantisation {
  const [low, high] = [scale * (-128 - zeroPoint), scale * (127 - zeroPoint)];
  let [min, max] = [0, 0];
  for (let at = 0; at < weights.length; at += inputs) {
    const row = weights.subarray(at, at + inputs);
    min = Math.min(
      min,
      row.reduce((sum, w) => sum + w * (w < 0 ? high : low), 0),
    );
    max = Math.max(
      max,
      row.reduce((sum, w) => sum + w * (w < 0 ? low : high), 0),
    );
  }
  return quantisationOf({ min, max });
}

/** Each pixel, or each line of pixels, several times: a transpose whose repeated axis moves on by no byte. */
function repeat(lowering: Lowering, node: Node, given: Value, axis: number, times: number): Value {
  const rank = given.dims.length;
  const x = lowering.arranged(node, asImage(given), [0, 2, 3, 1]);
  const [, channels, height, width] = x.dims as [number, number, number, number];
  const isAcross = axis === rank - 1;
  const dims = x.dims.map((size, i) => (i === (isAcross ? 3 : 2) ? size * times : size));
  const y = lowering.allocate(`${node.outputs[0]}.${isAcross ? 'wide' : 'tall'}`, dims, x.quantisation);
  const line = width * channels;
  const body = isAcross
    ? { dims: [height, width, times, channels], strides: [line, channels, 0, 1] }
    : { dims: [height, times, width, channels], strides: [line, 0, channels, 1] };
  lowering.emit({
    name: nodeName(node),
    body: { kind: 'transpose', ...body },
    reads: [{ view: wholeOf(x), access: 'all' }],
    write: wholeOf(y),
  });
  return fromImage(y, rank);
}
