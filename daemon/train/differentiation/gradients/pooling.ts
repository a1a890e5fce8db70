import type { GraphBuilder } from '../../../network/graph-builder.js';
import { type GradientInput, gradientOf, inputOf, type TrainingRule } from './rule.js';

/** Spreads a gradient [.., 1, ..] evenly over `dims`, divided by how many elements were averaged. */
function spread(b: GraphBuilder, gradient: string, kept: readonly number[], dims: readonly number[]): string {
  const count = dims.reduce((product, size, i) => product * (kept[i] === size ? 1 : size), 1);
  const share = b.mul(b.reshape(gradient, kept), b.scalar(1 / count));
  return b.node('Expand', [share, b.ints(dims)]);
}

const reduceMean: TrainingRule = {
  gradient: (input: GradientInput) => {
    const { b, node } = input;
    const dims = b.dimsOf(inputOf(input, 0));
    const axes = (node.attributes.axes as readonly number[] | undefined) ?? dims.map((_, i) => i);
    const reduced = new Set(axes.map((axis) => (axis + dims.length) % dims.length));
    return [
      spread(
        b,
        gradientOf(input),
        dims.map((size, i) => (reduced.has(i) ? 1 : size)),
        dims,
      ),
    ];
  },
};

const globalAveragePool: TrainingRule = {
  gradient: (input) => {
    const dims = input.b.dimsOf(inputOf(input, 0));
    return [
      spread(
        input.b,
        gradientOf(input),
        dims.map((size, i) => (i < 2 ? size : 1)),
        dims,
      ),
    ];
  },
};

export const poolingRules: Readonly<Record<string, TrainingRule>> = {
  ReduceMean: reduceMean,
  GlobalAveragePool: globalAveragePool,
};
