import type { GraphBuilder } from '../../../network/graph-builder.js';
import {
  gradientOf,
  inputOf,
  reduceSum,
  sumTo,
  type TrainingRule,
  trainingLimit,
  transposed,
} from './rule.js';

/** Y = A B over the last two axes, the others broadcast: dA = dY B^T, dB = A^T dY. Vectors are not supported. */
const matMul: TrainingRule = {
  check: ({ b, node }) => {
    const least = Math.min(...node.inputs.map((name) => b.dimsOf(name).length));
    if (least < 2) throw trainingLimit(node, 'with 2 or more axes', `has ${least}`);
  },
  gradient: (input) => {
    const { b } = input;
    const [left, right] = [inputOf(input, 0), inputOf(input, 1)];
    const g = gradientOf(input);
    const rank = b.dimsOf(right).length;
    return [
      input.wants(0) ? sumTo(b, b.matMul(g, transposed(b, right)), b.dimsOf(left)) : undefined,
      input.wants(1)
        ? sumTo(
            b,
            rank === 2 ? sharedRight(b, left, g) : b.matMul(leftTransposed(b, left), g),
            b.dimsOf(right),
          )
        : undefined,
    ];
  },
};

/** All rows at once: one product instead of one for each matrix of the batch and their sum. */
function sharedRight(b: GraphBuilder, left: string, g: string): string {
  const rows = (value: string): string => {
    const dims = b.dimsOf(value);
    return dims.length === 2 ? value : b.reshape(value, [-1, dims.at(-1) as number]);
  };
  return b.matMul(leftTransposed(b, rows(left)), rows(g));
}

/**
 * The left factor of a product, transposed by a node of its own: onnxruntime folds a transpose that a product uses
 * directly into the product, and reads a folded left factor column by column, ten times slower. A right factor may fold.
 */
function leftTransposed(b: GraphBuilder, x: string): string {
  const dims = b.dimsOf(x);
  const [rows, columns] = dims.slice(-2) as [number, number];
  const swapped = b.transpose(b.reshape(x, [-1, rows, columns]), [0, 2, 1]);
  return b.reshape(dims.length === 3 ? b.reshape(swapped, [1, -1, columns, rows]) : swapped, [
    ...dims.slice(0, -2),
    columns,
    rows,
  ]);
}

/** Y = alpha A' B' + beta C, where ' transposes where asked. */
const gemm: TrainingRule = {
  gradient: (input) => {
    const { b, node } = input;
    const [left, right] = [inputOf(input, 0), inputOf(input, 1)];
    const { transA = 0, transB = 0, alpha = 1, beta = 1 } = node.attributes as Record<string, number>;
    const scale = (value: string, factor: number): string =>
      factor === 1 ? value : b.mul(value, b.scalar(factor));
    const product = (x: string, transX: number, y: string, transY: number): string =>
      b.node('Gemm', [x, y], { transA: transX, transB: transY });
    const g = gradientOf(input);
    const scaled = scale(g, alpha);
    return [
      !input.wants(0)
        ? undefined
        : transA
          ? product(right, transB, scaled, 1)
          : product(scaled, 0, right, 1 - transB),
      !input.wants(1)
        ? undefined
        : transB
          ? product(scaled, 1, left, transA)
          : product(left, 1 - transA, scaled, 0),
      node.inputs[2] && input.wants(2) ? sumTo(b, scale(g, beta), b.dimsOf(inputOf(input, 2))) : undefined,
    ];
  },
};

/** Softmax over one axis: y (g - sum(g y)). */
const softmax: TrainingRule = {
  gradient: (input) => {
    const { b, node, outputs } = input;
    const axis = (node.attributes.axis as number | undefined) ?? -1;
    const weighted = b.mul(gradientOf(input), outputs[0] as string);
    const rank = b.dimsOf(weighted).length;
    const total = reduceSum(b, weighted, [(axis + rank) % rank]);
    return [b.node('Sub', [weighted, b.mul(outputs[0] as string, total)])];
  },
};

export const productRules: Readonly<Record<string, TrainingRule>> = {
  MatMul: matMul,
  Gemm: gemm,
  Softmax: softmax,
};
