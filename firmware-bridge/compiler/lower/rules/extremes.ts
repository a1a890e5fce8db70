import { elementCount, type Node } from '../../../../daemon/network/graph.js';
import { byteForm, elementForm } from '../element-forms.js';
import { type Lowering, type LoweringRule, unsupported } from '../lowering.js';
import type { Value } from '../value.js';
import { applied, combined, isConstant, type Operand, operandOf, wholeShape } from './steps.js';

/**
 * Max and Min of any number of activations and constants. All are brought to the steps of the result, in which
 * max(a, b) = a - min(0, a - b) is exact: two subtractions, the first of which int8 itself clamps at zero.
 */
export const extreme: LoweringRule = (node, lowering) => {
  const name = node.outputs[0] as string;
  const dims = lowering.dims(name);
  const isMax = node.op === 'Max';
  const pick = isMax ? Math.max : Math.min;
  const operands = node.inputs.map((_, i) => operandOf(node, lowering, i));
  if (operands.some((operand) => operand === undefined))
    throw unsupported(node, 'its constants are no floats');
  const { scalar, others, first } = sorted(operands as Operand[], dims, pick);
  if (others.length === 0 && scalar === undefined) {
    lowering.define(name, first.value);
    return;
  }
  const dtype = lowering.dtype(name);
  const quantisation = elementForm(dtype) === 'byte' ? byteForm(dtype) : lowering.quantisation(name);
  const limited = (x: number): number => (scalar === undefined ? x : pick(x, scalar));
  const whole = wholeShape(node, lowering, first.value, dims);
  let y = applied(node, lowering, whole, limited, { name, quantisation });
  const picked = isMax ? larger : smaller;
  for (const [i, operand] of others.entries())
    y = picked(node, lowering, y, operand, { name: `${name}.${i}`, quantisation });
  lowering.define(name, y);
};

type Picked = Parameters<typeof applied>[4];

/** The larger or smaller of each element of y, dense and in these steps, and an operand. */
const pickedBy =
  (zeroPoint: number) =>
  (node: Node, lowering: Lowering, y: Value, operand: Operand, { name, quantisation }: Picked): Value => {
    // A difference keeps one sign only: its other half lies beyond int8's end.
    const shortfall = { scale: quantisation.scale, zeroPoint };
    const minus = { kind: 'add', negative: true, constantQuantisation: quantisation } as const;
    const to = { ...minus, name: `${name}.shortfall`, quantisation: shortfall };
    const value = combined(node, lowering, y, operand, to);
    return combined(node, lowering, y, { value }, { ...minus, name, quantisation });
  };
export const larger = pickedBy(127);
const smaller = pickedBy(-128);

/** The first activation of the whole shape where there is one, one limit for all constant scalars, and all else. */
function sorted(
  operands: readonly Operand[],
  dims: readonly number[],
  pick: (a: number, b: number) => number,
): {
  readonly first: Extract<Operand, { value: unknown }>;
  readonly scalar: number | undefined;
  readonly others: readonly Operand[];
} {
  const scalars = operands.flatMap((operand) =>
    isConstant(operand) && operand.constant.length === 1 ? [operand.constant[0] as number] : [],
  );
  const rest = operands.filter((operand) => !isConstant(operand) || operand.constant.length !== 1);
  const activations = rest.flatMap((operand) => (isConstant(operand) ? [] : [operand]));
  const first =
    activations.find(({ value }) => elementCount(value.dims) === elementCount(dims)) ?? activations[0];
  return {
    first: first as Extract<Operand, { value: unknown }>,
    scalar: scalars.length > 0 ? scalars.reduce((a, b) => pick(a, b)) : undefined,
    others: rest.filter((operand) => operand !== first),
  };
}
