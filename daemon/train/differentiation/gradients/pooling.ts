import type { GraphBuilder } from '../../../network/graph-builder.js';
import {
  type ForwardInput,
  type GradientInput,
  gradientOf,
  inputOf,
  type TrainingRule,
  trainingLimit,
} from './rule.js';

/** Spreads a gradient [.., 1, ..] evenly over `dims`, divided by how many elements were averaged. */
function spread(b: GraphBuilder, gradient: string, kept: readonly number[], dims: readonly number[]): string {
  const count = dims.reduce((product, size, i) => product * (kept[i] === size ? 1 : size), 1);
  const share = b.mul(b.reshape(gradient, kept), b.scalar(1 / count));
  return b.node('Expand', [share, b.ints(dims)]);
}

/** Opset 18 made the axes an input. */
const axesOf = ({ b, node }: ForwardInput): readonly number[] | undefined =>
  (node.attributes.axes as readonly number[] | undefined) ??
  (node.inputs[1] ? b.constantOf(node.inputs[1]) : undefined);

const reduceMean: TrainingRule = {
  check: (input) => {
    if (input.node.inputs[1] && axesOf(input) === undefined)
      throw trainingLimit(input.node, 'over axes that are constants', 'computes its axes');
  },
  gradient: (input: GradientInput) => {
    const { b } = input;
    const dims = b.dimsOf(inputOf(input, 0));
    const axes = axesOf(input) ?? dims.map((_, i) => i);
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
