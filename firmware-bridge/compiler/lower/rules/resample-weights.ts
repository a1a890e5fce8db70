import type { Node } from '../../../../daemon/network/graph.js';
import { intAttribute, stringAttribute } from '../../../../daemon/network/shape-rules/rule.js';
import { unsupported } from '../../unsupported.js';

/** One axis of a Resize. `scale`: as the node gives it, or the quotient of the sizes, in float32. */
export interface ResizedAxis {
  readonly from: number;
  readonly to: number;
  readonly scale: number;
}

const round = Math.fround;
const middle = 1e-6;

/**
 * Where each output lies along an axis of the input (ONNX operator specification, Resize), in float32 as runtimes reckon
 * it: one by a third is three there, and a little less in doubles. Up to opset 10 coordinates are asymmetric.
 */
export function sourcesOf(node: Node, { from, to, scale }: ResizedAxis, opset: number): number[] {
  const mode =
    opset < 11 ? 'asymmetric' : stringAttribute(node, 'coordinate_transformation_mode', 'half_pixel');
  if (mode === 'align_corners' && Math.abs(scale * from - to) > 1e-3 * to)
    throw unsupported(
      node,
      `its scale ${scale} makes ${scale * from} of ${from}: where corners are aligned runtimes differ in what that is`,
      'Give sizes instead of scales.',
    );
  const over = (i: number): number => round(i / round(scale));
  const half = (i: number): number => round(over(i + 0.5) - 0.5);
  const symmetric = (i: number): number => {
    const adjustment = round(to / round(scale * from));
    const offset = round((from / 2) * round(1 - adjustment));
    return round(round(offset + over(i + 0.5)) - 0.5);
  };
  const origins = new Map<string, (i: number) => number>([
    ['asymmetric', over],
    ['half_pixel', half],
    ['half_pixel_symmetric', symmetric],
    ['pytorch_half_pixel', (i) => (to > 1 ? half(i) : 0)],
    ['align_corners', (i) => (to > 1 ? round((i * (from - 1)) / (to - 1)) : 0)],
    ['tf_half_pixel_for_nn', (i) => over(i + 0.5)],
  ]);
  const origin = origins.get(mode);
  if (!origin) throw unsupported(node, `its coordinate_transformation_mode is ${mode} (opset ${opset})`);
  // A scale of 1 leaves an axis as it is, for all coordinates.
  return Array.from({ length: to }, (_, i) => (scale === 1 && from === to ? i : origin(i)));
}

/** The one source of each output. Up to opset 10 a place is cut, or rounded up where the image shrinks. */
export function nearestSources(
  node: Node,
  places: readonly number[],
  { from, scale }: ResizedAxis,
  opset: number,
): number[] {
  const mode = opset < 11 ? 'simple' : stringAttribute(node, 'nearest_mode', 'round_prefer_floor');
  const roundings = new Map<string, (x: number) => number>([
    // A place that float32 leaves just beside the middle counts as the middle, as runtimes have it.
    ['round_prefer_floor', (x) => Math.ceil(x - 0.5 - middle)],
    ['round_prefer_ceil', (x) => Math.floor(x + 0.5 + middle)],
    ['floor', Math.floor],
    ['ceil', Math.ceil],
    ['simple', scale < 1 ? Math.ceil : Math.trunc],
  ]);
  const rounding = roundings.get(mode);
  if (!rounding) throw unsupported(node, `its nearest_mode is ${mode}`);
  const coordinates = stringAttribute(node, 'coordinate_transformation_mode', 'half_pixel');
  // Runtimes differ in how they round on the way to these, so a place at an edge has no one source.
  const isLoose = ['half_pixel_symmetric', 'tf_half_pixel_for_nn'].includes(coordinates) && opset >= 11;
  const isEdge = (place: number): boolean => rounding(place - 1e-4) !== rounding(place + 1e-4);
  if (isLoose && places.some((place) => place > -0.6 && place < from - 0.4 && isEdge(place)))
    throw unsupported(
      node,
      `it takes the nearest by ${coordinates} and ${mode} where two pixels are as near`,
      'Export with coordinate_transformation_mode="half_pixel".',
    );
  return places.map((place) => Math.min(from - 1, Math.max(0, rounding(place))));
}

/** One at the source of each output, [out][in]. */
export function choosing(sources: readonly number[], from: number): Float32Array {
  const weights = new Float32Array(sources.length * from);
  for (const [i, source] of sources.entries()) weights[i * from + source] = 1;
  return weights;
}

/**
 * The weights of each output, [out][in], by a linear or cubic filter (Keys 1981, with the node's coefficient). What lies
 * beyond the ends is the end, or counts for nothing with `exclude_outside`. With `antialias` the filter is as wide as an
 * output's share of the input where the image shrinks.
 */
export function interpolating(
  node: Node,
  places: readonly number[],
  { from, scale }: ResizedAxis,
  mode: string,
): Float32Array {
  const isCubic = mode === 'cubic';
  const a = typeof node.attributes.cubic_coeff_a === 'number' ? node.attributes.cubic_coeff_a : -0.75;
  const filter = isCubic ? (x: number) => cubic(Math.abs(x), a) : (x: number) => Math.max(0, 1 - Math.abs(x));
  const excludes = intAttribute(node, 'exclude_outside', 0) !== 0;
  const narrow = intAttribute(node, 'antialias', 0) !== 0 ? Math.min(1, scale) : 1;
  const reach = (isCubic ? 2 : 1) / narrow;
  const weights = new Float32Array(places.length * from);
  for (const [i, given] of places.entries()) {
    // Without a filter's width beside the ends, linear interpolation stays between them.
    const place = isCubic || narrow < 1 ? given : Math.min(from - 1, Math.max(0, given));
    const [first, last] = [Math.ceil(place - reach), Math.floor(place + reach)];
    const row = new Float64Array(from);
    for (let at = first; at <= last; at++) {
      const inside = Math.min(from - 1, Math.max(0, at));
      if (excludes && inside !== at) continue;
      row[inside] = (row[inside] as number) + filter((at - place) * narrow);
    }
    const sum = row.reduce((total, weight) => total + weight, 0);
    weights.set(
      row.map((weight) => weight / sum),
      i * from,
    );
  }
  return weights;
}

function cubic(x: number, a: number): number {
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}
