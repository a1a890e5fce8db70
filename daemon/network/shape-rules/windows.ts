import {
  attributeSince,
  intAttribute,
  intsAttribute,
  invalid,
  known,
  type Rule,
  type RuleInput,
  rules,
  stringAttribute,
  unsupported,
} from './rule.js';

/** Windows that slide over the spatial axes: their extent, and pooling. */

/** A list attribute with one number a spatial axis (or `per` of them). Throws ONNX_INVALID for another length. */
export function perAxis(
  input: RuleInput,
  name: string,
  rank: number,
  initial: number,
  per = 1,
): readonly number[] {
  const values = intsAttribute(input.node, name);
  // onnxruntime takes an empty list for an absent one.
  if (!values || values.length === 0) return Array(per * rank).fill(initial);
  if (values.length !== per * rank)
    throw invalid(input, `${name} [${values}] does not fit ${rank} spatial axes`);
  return values;
}

export const autoPadOf = (input: RuleInput): string => {
  const mode = stringAttribute(input.node, 'auto_pad', 'NOTSET');
  if (!['NOTSET', 'VALID', 'SAME_UPPER', 'SAME_LOWER'].includes(mode))
    throw invalid(input, `auto_pad ${mode} does not exist`);
  return mode;
};

/** Output sizes of a sliding window: strides, dilations, pads, `auto_pad` and `ceil_mode`. */
export function windowDims(
  input: RuleInput,
  spatial: readonly number[],
  kernel: readonly number[],
): number[] {
  const rank = spatial.length;
  if (kernel.length !== rank) throw invalid(input, `kernel [${kernel}] does not fit ${rank} spatial axes`);
  const strides = perAxis(input, 'strides', rank, 1);
  const dilations = perAxis(input, 'dilations', rank, 1);
  const pads = perAxis(input, 'pads', rank, 0, 2);
  const autoPad = autoPadOf(input);
  const up = intAttribute(input.node, 'ceil_mode', 0) === 1;
  return spatial.map((size, i) => {
    const [stride, dilation] = [strides[i] as number, dilations[i] as number];
    if (stride < 1 || dilation < 1 || (kernel[i] as number) < 1)
      throw invalid(
        input,
        `kernel [${kernel}], strides [${strides}] and dilations [${dilations}] must be at least 1`,
      );
    if (autoPad.startsWith('SAME')) return Math.ceil(size / stride);
    const reach = ((kernel[i] as number) - 1) * dilation + 1;
    const [before, behind] = autoPad === 'VALID' ? [0, 0] : [pads[i] as number, pads[i + rank] as number];
    const steps = (size + before + behind - reach) / stride;
    // onnxruntime's pools divide towards zero: a window that lacks less than a stride has its place, and is cut off.
    const isPool = roundsUpSince.has(input.node.op);
    let out = (up ? Math.ceil(steps) : isPool ? Math.trunc(steps) : Math.floor(steps)) + 1;
    // Rounding up adds no window that lies wholly in the padding behind.
    if (up && (out - 1) * stride >= size + before) out -= 1;
    if (out < (isPool ? 0 : 1))
      throw invalid(input, `a window of ${reach} does not fit ${size} + ${before + behind}`);
    return out;
  });
}

/** The operator set from which a kind of pooling dilates and rounds up. */
const roundsUpSince: ReadonlyMap<string, number> = new Map([
  ['MaxPool', 10],
  ['AveragePool', 10],
  ['LpPool', 18],
]);
const dilatesSince: ReadonlyMap<string, number> = new Map([
  ['MaxPool', 10],
  ['AveragePool', 19],
  ['LpPool', 18],
]);

const pool: Rule = (input) => {
  const { node } = input;
  attributeSince(input, 'ceil_mode', roundsUpSince.get(node.op) ?? 1);
  attributeSince(input, 'dilations', dilatesSince.get(node.op) ?? 1);
  const x = input.shape(0);
  const kernel = intsAttribute(node, 'kernel_shape');
  if (!kernel) throw invalid(input, 'kernel_shape is missing');
  if (x.dims.length < 3) throw invalid(input, `[${x.dims}] has no spatial axis`);
  const same = autoPadOf(input).startsWith('SAME');
  const dilations = perAxis(input, 'dilations', kernel.length, 1);
  if (same && dilations.some((dilation) => dilation !== 1))
    throw unsupported(input, 'auto_pad SAME with dilations is not supported: runtimes differ in its size');
  const dims = [...x.dims.slice(0, 2), ...windowDims(input, x.dims.slice(2), kernel)];
  // MaxPool's second output: where in the input each maximum stands.
  return [
    { dtype: x.dtype, dims },
    { dtype: 'int64', dims },
  ];
};

const globalPool: Rule = (input) => {
  const x = input.shape(0);
  if (x.dims.length < 2) throw invalid(input, `[${x.dims}] has no channels`);
  return [{ dtype: x.dtype, dims: x.dims.map((size, i) => (i < 2 ? size : 1)) }];
};

/** Reverses MaxPool: `output_shape` (input 2), or what the window covers. */
const maxUnpool: Rule = (input) => {
  const { dtype, dims } = input.shape(0);
  if (input.has(2)) return [{ dtype, dims: known(input, 2, 'sizes (its input 2)') }];
  const spatial = dims.slice(2);
  const kernel = perAxis(input, 'kernel_shape', spatial.length, 1);
  const strides = perAxis(input, 'strides', spatial.length, 1);
  const pads = perAxis(input, 'pads', spatial.length, 0, 2);
  const covered = spatial.map(
    (size, i) =>
      (size - 1) * (strides[i] as number) +
      (kernel[i] as number) -
      (pads[i] as number) -
      (pads[i + spatial.length] as number),
  );
  return [{ dtype, dims: [...dims.slice(0, 2), ...covered] }];
};

export const windowRules = [
  ...rules(1, 'AveragePool MaxPool', pool),
  ...rules(2, 'LpPool', pool),
  ...rules(1, 'GlobalAveragePool GlobalLpPool GlobalMaxPool', globalPool),
  ...rules(9, 'MaxUnpool', maxUnpool),
];
