import {
  attributeSince,
  axesOf,
  floatsAttribute,
  intsAttribute,
  invalid,
  known,
  type Rule,
  type RuleInput,
  rules,
  stringAttribute,
  unknownShape,
  unsupported,
} from './rule.js';

/** Changing the size of images: Upsample (opset 7 to 9) and Resize (from opset 10). */

/** Size times scale as runtimes compute it: both in float32, the product rounded to float32, then cut. */
const scaled = (size: number, scale: number): number =>
  Math.trunc(Math.fround(Math.fround(size) * Math.fround(scale)));

function byScales(input: RuleInput, axes: readonly number[], scales: readonly number[]): number[] {
  const dims = [...input.shape(0).dims];
  if (scales.length !== axes.length || !scales.every((scale) => scale > 0))
    throw invalid(input, `scales [${scales}] do not fit ${axes.length} axes`);
  axes.forEach((axis, i) => {
    dims[axis] = scaled(dims[axis] as number, scales[i] as number);
  });
  return dims;
}

/** Sizes as given, or the largest (`not_larger`) or smallest (`not_smaller`) of the input's aspect ratio. */
function bySizes(input: RuleInput, axes: readonly number[], sizes: readonly number[]): number[] {
  const dims = [...input.shape(0).dims];
  if (sizes.length !== axes.length) throw invalid(input, `sizes [${sizes}] do not fit ${axes.length} axes`);
  const policy = stringAttribute(input.node, 'keep_aspect_ratio_policy', 'stretch');
  if (!['stretch', 'not_larger', 'not_smaller'].includes(policy))
    throw invalid(input, `keep_aspect_ratio_policy ${policy} does not exist`);
  const given = intsAttribute(input.node, 'axes') ?? [];
  if (policy !== 'stretch' && given.some((axis) => axis < 0))
    throw unsupported(
      input,
      `keep_aspect_ratio_policy with axes [${given}]: runtimes differ where axes are negative`,
    );
  const ratios = axes.map((axis, i) => Math.fround((sizes[i] as number) / (dims[axis] as number)));
  const scale = policy === 'not_larger' ? Math.min(...ratios) : Math.max(...ratios);
  axes.forEach((axis, i) => {
    dims[axis] =
      policy === 'stretch'
        ? (sizes[i] as number)
        : Math.floor(Math.fround(Math.fround(dims[axis] as number) * scale) + 0.5);
  });
  return dims;
}

const resize: Rule = (input) => {
  const { dtype, dims } = input.shape(0);
  attributeSince(input, 'axes', 18);
  attributeSince(input, 'keep_aspect_ratio_policy', 18);
  const all = dims.map((_, i) => i);
  if (input.opset < 11) return [{ dtype, dims: byScales(input, all, known(input, 1, 'scales')) }];
  const axes = axesOf(input, intsAttribute(input.node, 'axes') ?? all, dims.length);
  // An empty tensor stands for an input left out.
  const given = (i: number): boolean => input.has(i) && !input.shape(i).dims.includes(0);
  if (given(2) && given(3)) throw invalid(input, 'has both scales and sizes');
  const [scales, sizes] = [
    given(2) ? input.constant(2) : undefined,
    given(3) ? input.constant(3) : undefined,
  ];
  if (sizes) return [{ dtype, dims: bySizes(input, axes, sizes) }];
  if (!scales) throw unknownShape(input, 'needs constant scales or sizes');
  if (stringAttribute(input.node, 'coordinate_transformation_mode', '') === 'tf_crop_and_resize')
    throw unsupported(input, 'tf_crop_and_resize with scales is not supported: runtimes differ in its size');
  return [{ dtype, dims: byScales(input, axes, scales) }];
};

/** Scales are an attribute before opset 9 and input 1 in opset 9. */
const upsample: Rule = (input) => {
  const { dtype, dims } = input.shape(0);
  const scales = input.opset < 9 ? floatsAttribute(input.node, 'scales') : known(input, 1, 'scales');
  if (!scales) throw invalid(input, 'the attribute scales is missing');
  return [
    {
      dtype,
      dims: byScales(
        input,
        dims.map((_, i) => i),
        scales,
      ),
    },
  ];
};

export const resizeRules = [...rules(10, 'Resize', resize), ...rules(7, 'Upsample', upsample, 9)];
