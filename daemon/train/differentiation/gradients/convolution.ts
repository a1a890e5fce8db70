import { convolutionOf } from '../convolution-geometry.js';
import { gradientOf, inputOf, reduceSum, type TrainingRule } from './rule.js';

/**
 * A convolution of any number of spatial axes and groups.
 * - dX is the transposed convolution of dY with the same weights (Dumoulin and Visin 2016, section 4); `output_padding`
 *   brings back the rows that the stride left over.
 * - dW is a convolution of X with dY in place of the kernel: images and channels change places within each group, strides and
 *   dilations too. What comes out beyond the kernel's size belongs to rows that the stride left over.
 */
const conv: TrainingRule = {
  gradient: (input) => {
    const { b, node } = input;
    const [x, weight] = [inputOf(input, 0), inputOf(input, 1)];
    const g = gradientOf(input);
    const c = convolutionOf(node, b.dimsOf(x), b.dimsOf(weight));
    const { groups, strides, dilations, pads, leftOver } = c;
    const spatial = strides.map((_, axis) => axis + 2);

    const inputGradient = (): string =>
      b.node('ConvTranspose', [g, weight], {
        group: groups,
        strides,
        dilations,
        pads,
        output_padding: leftOver,
      });

    const weightGradient = (): string => {
      const [images, channels, ...sizes] = b.dimsOf(x) as [number, number, ...number[]];
      const [, perGroup, ...kernel] = b.dimsOf(weight) as [number, number, ...number[]];
      const grouped = b.reshape(x, [images, groups, channels / groups, ...sizes]);
      const turned = b.transpose(grouped, [2, 1, 0, ...spatial.map((axis) => axis + 1)]);
      const product = b.node(
        'Conv',
        [b.reshape(turned, [perGroup, groups * images, ...sizes]), b.transpose(g, [1, 0, ...spatial])],
        { group: groups, strides: dilations, dilations: strides, pads },
      );
      const exact = kernel.reduce(
        (value, size, axis) =>
          b.dimsOf(value)[axis + 2] === size ? value : b.slice(value, axis + 2, 0, size),
        product,
      );
      return b.transpose(exact, [1, 0, ...spatial]);
    };

    return [
      input.wants(0) ? inputGradient() : undefined,
      input.wants(1) ? weightGradient() : undefined,
      node.inputs[2] && input.wants(2) ? reduceSum(b, g, [0, ...spatial], 0) : undefined,
    ];
  },
};

export const convolutionRules: Readonly<Record<string, TrainingRule>> = { Conv: conv };
