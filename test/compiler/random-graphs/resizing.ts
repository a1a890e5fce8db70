import type { Draft, NodeDraft } from './draft.js';
import type { Attributes } from './model.js';
import { imageOf } from './windows.js';

/** Upsample and Resize of every operator set, and Pad. */
const scaleFor = (d: Draft): number => d.pick([1, 2, 3, 0.5, 1.5, 5 / 3, 0.7, 2.3]);

const resize = (d: Draft): NodeDraft[] | undefined => {
  const x = imageOf(d);
  const dims = d.dims(x);
  const scales = dims.map((_, i) => (i < 2 && !d.chance(0.03) ? 1 : scaleFor(d)));
  const mode: Attributes = d.chance(0.8)
    ? { mode: { text: d.pick(['nearest', 'linear', ...(d.opset >= 11 ? ['cubic'] : [])]) } }
    : {};
  if (d.opset < 9) return [d.node('Upsample', [x], { ...mode, scales: { floats: scales } })];
  if (d.opset === 9) return [d.node('Upsample', [x, d.floats(scales)], mode)];
  if (d.opset === 10) return [d.node('Resize', [x, d.floats(scales)], mode)];
  const places = ['half_pixel', 'asymmetric', 'align_corners', 'pytorch_half_pixel'];
  if (d.opset >= 19) places.push('half_pixel_symmetric');
  const late: Attributes =
    d.opset >= 18
      ? {
          ...(d.chance(0.15) && { antialias: { int: 1 } }),
          ...(d.chance(0.2) && {
            keep_aspect_ratio_policy: { text: d.pick(['stretch', 'not_larger', 'not_smaller']) },
          }),
        }
      : {};
  const attributes: Attributes = {
    ...mode,
    ...late,
    ...(d.chance(0.7) && { coordinate_transformation_mode: { text: d.pick(places) } }),
    ...(d.chance(0.5) && {
      nearest_mode: { text: d.pick(['round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil']) },
    }),
    ...(d.chance(0.1) && { exclude_outside: { int: 1 } }),
    ...(d.chance(0.1) && { cubic_coeff_a: { float: -0.5 } }),
  };
  const roi = d.opset === 11 && d.chance(0.5) ? d.floats([]) : '';
  const some = d.opset >= 18 && d.chance(0.3);
  const axes: Attributes = some ? { axes: { ints: dims.slice(2).map((_, i) => i + 2) } } : {};
  const from = some ? 2 : 0;
  if (d.chance(0.5))
    return [d.node('Resize', [x, roi, d.floats(scales.slice(from))], { ...attributes, ...axes })];
  const sizes = dims.map((size, i) => (i < 2 ? size : d.int(1, 11))).slice(from);
  const none = d.opset < 13 ? d.floats([]) : '';
  return [d.node('Resize', [x, roi, none, d.ints(sizes)], { ...attributes, ...axes })];
};

const pad = (d: Draft): NodeDraft[] | undefined => {
  const x = d.value((dims) => dims.length >= 1) ?? imageOf(d);
  const dims = d.dims(x);
  const mode = d.pick(['constant', 'constant', 'reflect', 'edge', ...(d.opset >= 19 ? ['wrap'] : [])]);
  // By more than what is left of the axis, onnxruntime's wrap reads foreign memory: answers differ from run to run.
  const largest = (size: number): number =>
    mode === 'reflect' ? Math.min(2, size - 1) : mode === 'wrap' ? Math.min(2, size) : 2;
  const amount = (size: number): number =>
    d.chance(0.5) ? 0 : d.chance(0.1) && size > 2 && mode !== 'wrap' ? -1 : d.int(0, largest(size));
  const how: Attributes = mode === 'constant' && d.chance(0.5) ? {} : { mode: { text: mode } };
  if (d.opset < 11) {
    const pads = [...dims.map(amount), ...dims.map(amount)];
    return [
      d.node('Pad', [x], { ...how, pads: { ints: pads }, ...(d.chance(0.5) && { value: { float: 0.5 } }) }),
    ];
  }
  if (d.opset >= 18 && d.chance(0.4)) {
    const axis = d.axis(dims.length);
    const size = dims.at(axis) as number;
    const pads = d.ints([amount(size), amount(size)]);
    return [d.node('Pad', [x, pads, d.chance(0.5) ? d.floats([0.5], []) : '', d.ints([axis])], how)];
  }
  const pads = d.ints([...dims.map(amount), ...dims.map(amount)]);
  return [d.node('Pad', d.chance(0.5) ? [x, pads, d.floats([-0.5], [])] : [x, pads], how)];
};

export const resizingMakers = [resize, resize, pad, pad];
