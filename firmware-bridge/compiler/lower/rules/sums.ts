import { elementCount } from '../../../../daemon/network/graph.js';
import { broadcastIndex } from '../../passes/broadcast.js';
import { type Quantisation, quantisationOf, type Range } from '../../quantise/quantisation.js';
import { type LoweringRule, unsupported } from '../lowering.js';
import type { Value } from '../value.js';
import { applied, combined, isConstant, type Operand, operandOf, operandRange, wholeShape } from './steps.js';

/**
 * Sum and Mean of any number of activations and constants: one addition each, constants added up before. A partial sum has
 * the least range that holds both what was added so far and what the result leaves for it.
 */
export const variadicSum: LoweringRule = (node, lowering) => {
  const name = node.outputs[0] as string;
  const dims = lowering.dims(name);
  const operands = node.inputs.map((_, i) => operandOf(node, lowering, i));
  if (operands.some((operand) => operand === undefined))
    throw unsupported(node, 'its constants are no floats');
  const { activations, constant } = gathered(operands as Operand[], dims);
  const count = node.op === 'Mean' ? node.inputs.length : 1;
  const [first, ...others] = activations as [Value, ...Value[]];
  if (node.inputs.length === 1) {
    lowering.define(name, first);
    return;
  }
  const own = lowering.quantisation(name);
  // A mean of n is their sum in steps n times as wide.
  const result: Quantisation = { ...own, scale: own.scale * count };
  const x = wholeShape(node, lowering, first, dims);
  const only = constant?.constant.length === 1 ? (constant.constant[0] as number) : undefined;
  if (others.length === 0 && only !== undefined) {
    const f = (value: number): number => value + only;
    lowering.define(name, {
      ...applied(node, lowering, x, f, { name, quantisation: result }),
      quantisation: own,
    });
    return;
  }
  const terms: Operand[] = [...(constant ? [constant] : []), ...others.map((value) => ({ value }))];
  let y = x;
  let sum = operandRange({ value: first });
  terms.forEach((term, i) => {
    sum = plus(sum, operandRange(term));
    const isLast = i === terms.length - 1;
    const quantisation = isLast ? result : quantisationOf(within(sum, result, terms.slice(i + 1)));
    y = combined(node, lowering, y, term, {
      kind: 'add',
      name: isLast ? name : `${name}.${i}`,
      quantisation,
    });
  });
  lowering.define(name, { ...y, quantisation: own });
};

const plus = (a: Range, b: Range): Range => ({ min: a.min + b.min, max: a.max + b.max });

/** What a partial sum can be, where the rest must lead to the result's range. */
function within(sum: Range, result: Quantisation, rest: readonly Operand[]): Range {
  const left = rest.map(operandRange).reduce(plus, { min: 0, max: 0 });
  const end = operandRange({ value: { quantisation: result } as Value });
  return { min: Math.max(sum.min, end.min - left.max), max: Math.min(sum.max, end.max - left.min) };
}

/** The activations, those of the whole shape first, and the sum of all constants. */
function gathered(
  operands: readonly Operand[],
  dims: readonly number[],
): {
  readonly activations: readonly Value[];
  readonly constant: Extract<Operand, { constant: Float32Array }> | undefined;
} {
  const isWhole = ({ dims: own }: Value): boolean => elementCount(own) === elementCount(dims);
  const values = operands.flatMap((operand) => (isConstant(operand) ? [] : [operand.value]));
  const constants = operands.filter(isConstant);
  const activations = [...values.filter(isWhole), ...values.filter((value) => !isWhole(value))];
  const [given] = constants;
  if (!given || constants.length === 1) return { activations, constant: given };
  const rank = Math.max(...constants.map((one) => one.dims.length));
  const size = Array.from({ length: rank }, (_, axis) =>
    Math.max(...constants.map((one) => one.dims[axis - rank + one.dims.length] ?? 1)),
  );
  const sum = new Float32Array(elementCount(size));
  for (const one of constants) {
    const from = broadcastIndex(one.dims, size);
    for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + (one.constant[from(i)] as number);
  }
  return { activations, constant: { constant: sum, dims: size } };
}
