import { HildaError } from '../../../core/errors.js';
import type { Node } from '../../../network/graph.js';
import type { GraphBuilder } from '../../../network/graph-builder.js';

/** Values that the forward form keeps for the gradient, by the rule's own keys. */
export type Saved = Readonly<Record<string, string>>;

/** A node whose inputs already name values of the training graph `b`. */
export interface ForwardInput {
  readonly b: GraphBuilder;
  readonly node: Node;
}

export interface Forward {
  readonly outputs: readonly string[];
  readonly saved?: Saved;
}

export interface GradientInput extends ForwardInput {
  /** The values that the node's outputs became. */
  readonly outputs: readonly string[];
  readonly saved: Saved;
  /** Gradient of output i; undefined where nothing depends on it. */
  readonly upstream: readonly (string | undefined)[];
  /** Whether anyone asks for the gradient of input i. */
  wants(i: number): boolean;
}

/** How one operator trains: its form in training, where it differs from inference, and its vector-Jacobian product. */
export interface TrainingRule {
  /** Throws OPERATOR_UNSUPPORTED with the numbers, for a form of the operator that has no gradient here. */
  readonly check?: (input: ForwardInput) => void;
  /** Default: the node as it is. */
  readonly forward?: (input: ForwardInput) => Forward;
  /** One entry an input; undefined for inputs without a gradient (shapes, indices, those nobody wants). */
  readonly gradient: (input: GradientInput) => readonly (string | undefined)[];
}

/** The gradient of output 0, for the operators that have one output. */
export const gradientOf = ({ upstream }: GradientInput): string => upstream[0] as string;

/** Input i as a value of the training graph. */
export const inputOf = ({ node }: ForwardInput, i: number): string => node.inputs[i] as string;

/** The adjoint of broadcasting: sums a gradient down to the shape that was broadcast. */
export function sumTo(b: GraphBuilder, gradient: string, dims: readonly number[]): string {
  const from = b.dimsOf(gradient);
  if (from.length === dims.length && from.every((size, i) => size === dims[i])) return gradient;
  const extra = from.length - dims.length;
  const axes = from.flatMap((size, i) => (i < extra || (dims[i - extra] === 1 && size !== 1) ? [i] : []));
  const summed = axes.length === 0 ? gradient : reduceSum(b, gradient, axes);
  return extra === 0 ? summed : b.reshape(summed, dims);
}

/** Opset 13 made ReduceSum's axes an input; the other reductions followed in 18. */
export const reduceSum = (b: GraphBuilder, x: string, axes: readonly number[], keepdims = 1): string =>
  b.node('ReduceSum', [x, b.ints(axes)], { keepdims });

/** Swaps the last two axes. */
export function transposed(b: GraphBuilder, x: string): string {
  const rank = b.dimsOf(x).length;
  return b.transpose(
    x,
    Array.from({ length: rank }, (_, i) => (i < rank - 2 ? i : i === rank - 2 ? rank - 1 : rank - 2)),
  );
}

/** A limit of training, by its number: what is supported and what this node has. */
export const trainingLimit = (node: Node, supported: string, has: string): HildaError =>
  new HildaError(
    'OPERATOR_UNSUPPORTED',
    `node ${node.name}: ${node.op} is trained ${supported} only; this one ${has}`,
    { details: { operator: node.op, node: node.name } },
  );
