import {
  axisOf,
  intAttribute,
  intsAttribute,
  invalid,
  type Rule,
  type RuleInput,
  stringAttribute,
  unknownShape,
} from './rule.js';

/** Output size along the spatial axes of a sliding window: ONNX Conv and pooling, `auto_pad` and `ceil_mode` included. */
function windowDims(input: RuleInput, spatial: readonly number[], kernel: readonly number[]): number[] {
  const { node } = input;
  const rank = spatial.length;
  if (kernel.length !== rank) throw invalid(node, `kernel [${kernel}] does not fit ${rank} spatial axes`);
  const strides = intsAttribute(node, 'strides') ?? Array(rank).fill(1);
  const dilations = intsAttribute(node, 'dilations') ?? Array(rank).fill(1);
  const pads = intsAttribute(node, 'pads') ?? Array(2 * rank).fill(0);
  const autoPad = stringAttribute(node, 'auto_pad', 'NOTSET');
  const round = intAttribute(node, 'ceil_mode', 0) ? Math.ceil : Math.floor;
  return spatial.map((size, i) => {
    const stride = strides[i] as number;
    const reach = ((kernel[i] as number) - 1) * (dilations[i] as number) + 1;
    if (autoPad === 'SAME_UPPER' || autoPad === 'SAME_LOWER') return Math.ceil(size / stride);
    const padding = autoPad === 'VALID' ? 0 : (pads[i] as number) + (pads[i + rank] as number);
    let out = round((size + padding - reach) / stride) + 1;
    // Rounding up must not add a window that lies wholly in the padding behind (as onnxruntime does).
    if (round === Math.ceil && (out - 1) * stride >= size + (autoPad === 'VALID' ? 0 : (pads[i] as number)))
      out -= 1;
    if (!(out > 0)) throw invalid(node, `a window of ${reach} does not fit ${size} + ${padding}`);
    return out;
  });
}

const conv: Rule = (input) => {
  const { node } = input;
  const x = input.shape(0);
  const w = input.shape(1).dims;
  const groups = intAttribute(node, 'group', 1);
  if (x.dims.length !== w.length) throw invalid(node, `input rank ${x.dims.length}, weight rank ${w.length}`);
  if (x.dims[1] !== (w[1] as number) * groups || (w[0] as number) % groups !== 0) {
    throw invalid(node, `input [${x.dims}] does not fit weights [${w}] in ${groups} groups`);
  }
  const kernel = intsAttribute(node, 'kernel_shape') ?? w.slice(2);
  return [
    {
      dtype: x.dtype,
      dims: [x.dims[0] as number, w[0] as number, ...windowDims(input, x.dims.slice(2), kernel)],
    },
  ];
};

/** Weights [in, out / groups, ...]; `output_padding` counts, `output_shape` and `auto_pad` do not occur in what we run. */
const convTranspose: Rule = (input) => {
  const { node } = input;
  const x = input.shape(0);
  const w = input.shape(1).dims;
  const spatial = x.dims.slice(2);
  if (x.dims.length !== w.length || x.dims[1] !== w[0])
    throw invalid(node, `input [${x.dims}] does not fit weights [${w}]`);
  if (intsAttribute(node, 'output_shape') || stringAttribute(node, 'auto_pad', 'NOTSET') !== 'NOTSET')
    throw unknownShape(node, 'output_shape and auto_pad are not supported: pads are');
  const of = (name: string, initial: number): readonly number[] =>
    intsAttribute(node, name) ?? spatial.map(() => initial);
  const [strides, dilations, extra] = [of('strides', 1), of('dilations', 1), of('output_padding', 0)];
  const pads = intsAttribute(node, 'pads') ?? [...spatial, ...spatial].map(() => 0);
  const dims = spatial.map((size, i) => {
    const reach = ((w[2 + i] as number) - 1) * (dilations[i] as number) + 1;
    const padding = (pads[i] as number) + (pads[i + spatial.length] as number);
    return (size - 1) * (strides[i] as number) + reach + (extra[i] as number) - padding;
  });
  const out = (w[1] as number) * intAttribute(node, 'group', 1);
  return [{ dtype: x.dtype, dims: [x.dims[0] as number, out, ...dims] }];
};

const pool: Rule = (input) => {
  const x = input.shape(0);
  const kernel = intsAttribute(input.node, 'kernel_shape');
  if (!kernel) throw invalid(input.node, 'kernel_shape is missing');
  return [{ dtype: x.dtype, dims: [...x.dims.slice(0, 2), ...windowDims(input, x.dims.slice(2), kernel)] }];
};

const globalPool: Rule = (input) => {
  const x = input.shape(0);
  return [{ dtype: x.dtype, dims: [...x.dims.slice(0, 2), ...x.dims.slice(2).map(() => 1)] }];
};

const resize: Rule = (input) => {
  const { node } = input;
  const x = input.shape(0);
  const axes =
    intsAttribute(node, 'axes')?.map((axis) => axisOf(node, axis, x.dims.length)) ?? x.dims.map((_, i) => i);
  const sizes = input.has(3) ? input.constant(3) : undefined;
  const scales = input.has(2) ? input.constant(2) : undefined;
  const given = sizes?.length ? sizes : scales;
  if (!given?.length) throw unknownShape(node, 'neither sizes nor scales are');
  const dims = [...x.dims];
  axes.forEach((axis, i) => {
    dims[axis] = sizes?.length
      ? (sizes[i] as number)
      : Math.floor((x.dims[axis] as number) * (given[i] as number));
  });
  return [{ dtype: x.dtype, dims }];
};

export const windowRules: Readonly<Record<string, Rule>> = {
  Conv: conv,
  ConvTranspose: convTranspose,
  AveragePool: pool,
  MaxPool: pool,
  GlobalAveragePool: globalPool,
  GlobalMaxPool: globalPool,
  Resize: resize,
};
