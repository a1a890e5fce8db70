import { type GradientInput, gradientOf, inputOf, type TrainingRule, trainingLimit } from './rule.js';

/** Puts the gradient back into the input's shape. */
const reshaped: TrainingRule = {
  gradient: (input) => [input.b.reshape(gradientOf(input), input.b.dimsOf(inputOf(input, 0)))],
};

const transpose: TrainingRule = {
  gradient: (input) => {
    const { b, node } = input;
    const rank = b.dimsOf(inputOf(input, 0)).length;
    const perm =
      (node.attributes.perm as readonly number[] | undefined) ??
      Array.from({ length: rank }, (_, i) => rank - 1 - i);
    return [
      b.transpose(
        gradientOf(input),
        perm.map((_, axis) => perm.indexOf(axis)),
      ),
    ];
  },
};

const axisOf = ({ node }: GradientInput, rank: number): number => {
  const axis = node.attributes.axis as number | undefined;
  return ((axis ?? 0) + rank) % rank;
};

const concat: TrainingRule = {
  gradient: (input) => {
    const { b, node } = input;
    const axis = axisOf(input, b.dimsOf(gradientOf(input)).length);
    let from = 0;
    return node.inputs.map((name, i) => {
      const size = b.dimsOf(name)[axis] as number;
      from += size;
      return input.wants(i) ? b.slice(gradientOf(input), axis, from - size, from) : undefined;
    });
  },
};

/** Outputs that nothing depends on have gradient zero. */
const split: TrainingRule = {
  gradient: (input) => {
    const { b, outputs, upstream } = input;
    const parts = outputs.map((output, i) => upstream[i] ?? zeros(input, b.dimsOf(output)));
    return [b.concat(parts, axisOf(input, b.dimsOf(inputOf(input, 0)).length))];
  },
};

const zeros = ({ b }: GradientInput, dims: readonly number[]): string =>
  b.node('Expand', [b.scalar(0), b.ints(dims)]);

/** Contiguous slices with step 1: pads the gradient with zeros. */
const slice: TrainingRule = {
  check: ({ b, node }) => {
    const steps = node.inputs[4] ? (b.constantOf(node.inputs[4]) ?? [Number.NaN]) : [];
    const other = steps.find((step) => step !== 1);
    if (other !== undefined) throw trainingLimit(node, 'with step 1', `has step ${other}`);
  },
  gradient: (input) => {
    const { b, node } = input;
    const from = b.dimsOf(inputOf(input, 0));
    const constant = (i: number): readonly number[] | undefined =>
      node.inputs[i] ? b.constantOf(node.inputs[i] as string) : undefined;
    const starts = constant(1) ?? [];
    const axes = constant(3) ?? starts.map((_, i) => i);
    const to = b.dimsOf(input.outputs[0] as string);
    const before = from.map(() => 0);
    axes.forEach((axis, i) => {
      const start = starts[i] as number;
      const size = from[(axis + from.length) % from.length] as number;
      before[(axis + from.length) % from.length] = Math.min(size, start < 0 ? start + size : start);
    });
    const after = from.map((size, axis) => size - (before[axis] as number) - (to[axis] as number));
    const pads = [...before, ...after];
    return [b.node('Pad', [gradientOf(input), b.ints(pads)])];
  },
};

export const layoutRules: Readonly<Record<string, TrainingRule>> = {
  Reshape: reshaped,
  Flatten: reshaped,
  Squeeze: reshaped,
  Unsqueeze: reshaped,
  Transpose: transpose,
  Concat: concat,
  Split: split,
  Slice: slice,
};
