import { elementCount, type Node, type Tensor } from '../../../../daemon/network/graph.js';
import { broadcastIndex } from '../../passes/broadcast.js';
import { type Quantisation, quantisationOf, quantise } from '../../quantise/quantisation.js';
import { type Lowering, type LoweringRule, unsupported } from '../lowering.js';
import type { Value } from '../value.js';
import { combined, isConstant, type Operand, operandOf, operandRange, wholeShape } from './steps.js';

/** So far below the least score, a masked one has no share of a softmax that int8 could show. */
const maskedBelow = 12;

/**
 * Where with a constant condition: the sum of both choices, each times one or zero where it was chosen or not. One of the
 * two is always zero, so that the sum is exact.
 */
export const where: LoweringRule = (node, lowering) => {
  const name = node.outputs[0] as string;
  const dims = lowering.dims(name);
  const condition = maskOf(node, lowering, dims);
  const choices = [1, 2].map((i) => operandOf(node, lowering, i));
  if (choices.some((choice) => choice === undefined)) throw unsupported(node, 'its constants are no floats');
  if ((choices as Operand[]).every(isConstant)) throw unsupported(node, 'it chooses among constants only');
  const { parts, quantisation } = spread(node, lowering, choices as Operand[]);
  const masks = [condition, condition.map((chosen) => 1 - chosen)] as const;
  const at = isConstant(parts[0] as Operand) ? 1 : 0;
  const [own, other] = [parts[at] as Extract<Operand, { value: Value }>, parts[1 - at] as Operand];
  const chosen = (operand: Extract<Operand, { value: Value }>, i: number): Value =>
    combined(
      node,
      lowering,
      wholeShape(node, lowering, operand.value, dims),
      { constant: masks[i] as Float32Array, dims },
      { kind: 'mul', name: `${name}.${i}`, quantisation, constantQuantisation: { scale: 1, zeroPoint: 0 } },
    );
  const first = chosen(own, at);
  const second: Operand = isConstant(other)
    ? { constant: masked(other, masks[1 - at] as Float32Array, dims), dims }
    : { value: chosen(other, 1 - at) };
  const to = { kind: 'add', name, quantisation, constantQuantisation: quantisation } as const;
  lowering.define(name, combined(node, lowering, first, second, to));
};

/** The condition as ones and zeros in the shape of the result. */
function maskOf(node: Node, lowering: Lowering, dims: readonly number[]): Float32Array {
  const tensor: Tensor | undefined = lowering.graph.initializers.get(node.inputs[0] ?? '');
  if (tensor?.dtype !== 'bool') throw unsupported(node, 'its condition is no constant');
  const from = broadcastIndex(tensor.dims, dims);
  return Float32Array.from({ length: elementCount(dims) }, (_, i) => (tensor.data[from(i)] === 0 ? 0 : 1));
}

const masked = (
  { constant, dims: own }: Extract<Operand, { constant: Float32Array }>,
  mask: Float32Array,
  dims: readonly number[],
): Float32Array => {
  const from = broadcastIndex(own, dims);
  return mask.map((chosen, i) => (chosen === 0 ? 0 : (constant[from(i)] as number)));
};

/**
 * The choices and the quantisation of the result. Before a softmax, a constant that stands for minus infinity is brought
 * near the scores. Anywhere else a constant so far out that it leaves no steps to the other choice is refused.
 */
function spread(
  node: Node,
  lowering: Lowering,
  parts: readonly Operand[],
): { readonly parts: readonly Operand[]; readonly quantisation: Quantisation } {
  const name = node.outputs[0] as string;
  const constant = parts.find(isConstant);
  const scores = parts.find((part) => !isConstant(part));
  if (!constant || !scores) return { parts, quantisation: lowering.quantisation(name) };
  const { min, max } = operandRange(scores);
  const floor = min - maskedBelow;
  if (lowering.onlyReader(name)?.op === 'Softmax' && constant.constant.some((value) => value < floor)) {
    const near = { ...constant, constant: constant.constant.map((value) => Math.max(value, floor)) };
    const top = Math.max(max, operandRange(near).max);
    return {
      parts: parts.map((part) => (part === constant ? near : part)),
      quantisation: quantisationOf({ min: floor, max: top }),
    };
  }
  const quantisation = lowering.quantisation(name);
  if (quantise(min, quantisation) === quantise(max, quantisation))
    throw unsupported(
      node,
      `its constant of ${operandRange(constant).min} to ${operandRange(constant).max} leaves int8 no steps for values of ${min} to ${max}`,
    );
  return { parts, quantisation };
}
