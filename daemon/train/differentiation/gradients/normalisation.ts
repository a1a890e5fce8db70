import { floatTensor } from '../../../network/graph.js';
import type { GraphBuilder } from '../../../network/graph-builder.js';
import {
  type Forward,
  gradientOf,
  inputOf,
  reduceSum,
  sumTo,
  type TrainingRule,
  trainingLimit,
} from './rule.js';

/**
 * Rows of x [rows, length] to mean 0 and variance 1, by onnxruntime's LayerNormalization kernel without its affine
 * part: one pass, and it hands out the reciprocal deviation [rows, 1] that the gradient needs.
 */
function normaliseRows(
  b: GraphBuilder,
  x: string,
  epsilon: number,
): { readonly normal: string; readonly reciprocal: string } {
  const length = b.dimsOf(x).at(-1) as number;
  const name = `ones_${length}`;
  const ones = b.hasConstant(name)
    ? name
    : b.constant(name, floatTensor([length], new Float32Array(length).fill(1)));
  const [normal, , reciprocal] = b.nodeMulti(
    'LayerNormalization',
    [x, ones],
    { axis: -1, epsilon },
    { outputs: 3 },
  );
  return { normal: normal as string, reciprocal: reciprocal as string };
}

const epsilonOf = (node: { readonly attributes: Readonly<Record<string, unknown>> }): number =>
  (node.attributes.epsilon as number | undefined) ?? 1e-5;

/** [n, c, ...] as [c, rest] and back; free where n is 1. */
function toRows(b: GraphBuilder, x: string): string {
  const dims = b.dimsOf(x);
  const channels = dims[1] as number;
  const first = dims[0] === 1 ? x : b.transpose(x, [1, 0, ...dims.slice(2).map((_, i) => i + 2)]);
  return b.reshape(first, [channels, -1]);
}

function fromRows(b: GraphBuilder, rows: string, dims: readonly number[]): string {
  if (dims[0] === 1) return b.reshape(rows, dims);
  const [n, c, ...rest] = dims as [number, number, ...number[]];
  return b.transpose(b.reshape(rows, [c, n, ...rest]), [1, 0, ...rest.map((_, i) => i + 2)]);
}

/**
 * Batch normalisation with the statistics of the present batch (Ioffe and Szegedy 2015): the running ones are not
 * used, a super-network's belong to no architecture. With xh normalised, k = scale / deviation and n elements a
 * channel: dx = k (dy - sum(dy) / n - xh sum(dy xh) / n).
 */
const batchNormalization: TrainingRule = {
  forward: ({ b, node }): Forward => {
    const [x, scale, bias] = node.inputs as [string, string, string];
    const dims = b.dimsOf(x);
    const { normal, reciprocal } = normaliseRows(b, toRows(b, x), epsilonOf(node));
    const column = (value: string): string => b.reshape(value, [-1, 1]);
    const y = b.add(b.mul(normal, column(scale)), column(bias));
    return { outputs: [fromRows(b, y, dims)], saved: { normal, reciprocal } };
  },
  gradient: (input) => {
    const { b, saved } = input;
    const { normal, reciprocal } = saved as { normal: string; reciprocal: string };
    const [x, scale] = [inputOf(input, 0), inputOf(input, 1)];
    const g = toRows(b, gradientOf(input));
    const [channels, length] = b.dimsOf(g) as [number, number];
    const sum = reduceSum(b, g, [1]);
    const dot = reduceSum(b, b.mul(g, normal), [1]);
    const share = b.scalar(1 / length);
    const factor = b.mul(reciprocal, b.reshape(scale, [channels, 1]));
    const centred = b.node('Sub', [b.node('Sub', [g, b.mul(normal, b.mul(dot, share))]), b.mul(sum, share)]);
    return [
      input.wants(0) ? fromRows(b, b.mul(centred, factor), b.dimsOf(x)) : undefined,
      b.reshape(dot, [channels]),
      b.reshape(sum, [channels]),
    ];
  },
};

/** Over the last axis. With g = dy scale: dx = (g - mean(g) - xh mean(g xh)) / deviation. */
const layerNormalization: TrainingRule = {
  check: ({ b, node }) => {
    const rank = b.dimsOf(node.inputs[0] as string).length;
    const axis = (node.attributes.axis as number | undefined) ?? -1;
    const first = axis < 0 ? axis + rank : axis;
    if (first !== rank - 1)
      throw trainingLimit(node, `over the last axis (${rank - 1})`, `is over ${rank - first} axes`);
  },
  forward: ({ b, node }): Forward => {
    const [x, scale, bias] = node.inputs as [string, string, string | undefined];
    const { normal, reciprocal } = normaliseRows(b, x, epsilonOf(node));
    const product = b.mul(normal, scale);
    return { outputs: [bias ? b.add(product, bias) : product], saved: { normal, reciprocal } };
  },
  gradient: (input) => {
    const { b, node, saved } = input;
    const { normal, reciprocal } = saved as { normal: string; reciprocal: string };
    const [scale, bias] = [inputOf(input, 1), node.inputs[2]];
    const dy = gradientOf(input);
    const g = b.mul(dy, scale);
    const mean = (value: string): string => b.reduceMean(value, [-1]);
    const centred = b.node('Sub', [b.node('Sub', [g, mean(g)]), b.mul(normal, mean(b.mul(g, normal)))]);
    return [
      input.wants(0) ? b.mul(centred, reciprocal) : undefined,
      input.wants(1) ? sumTo(b, b.mul(dy, normal), b.dimsOf(scale)) : undefined,
      bias && input.wants(2) ? sumTo(b, dy, b.dimsOf(bias)) : undefined,
    ];
  },
};

export const normalisationRules: Readonly<Record<string, TrainingRule>> = {
  BatchNormalization: batchNormalization,
  LayerNormalization: layerNormalization,
};
