import { elementCount, type Node } from '../../../../daemon/network/graph.js';
import { lookupTable } from '../../quantise/lookup-table.js';
import { type Quantisation, quantisationOf, type Range, rangeOf } from '../../quantise/quantisation.js';
import { type Lowering, nodeName } from '../lowering.js';
import type { ConstantOperand, Read } from '../operators.js';
import { physicalOrder, type Value } from '../value.js';
import { constantOperand, repeated, secondRead } from './operands.js';
import { elements, sameOrExpanded } from './unary.js';

/** One operand of a rule made of several steps: an activation, or a float constant of some shape. */
export type Operand =
  | { readonly value: Value }
  | { readonly constant: Float32Array; readonly dims: readonly number[] };

/** Input i of a node as an operand; undefined where it is absent or a constant of another type. */
export function operandOf(node: Node, lowering: Lowering, i: number): Operand | undefined {
  const name = node.inputs[i];
  if (lowering.isActivation(name)) return { value: lowering.value(node, i) };
  const constant = lowering.floats(name);
  return constant && { constant, dims: lowering.dims(name as string) };
}

export const isConstant = (operand: Operand): operand is Extract<Operand, { constant: Float32Array }> =>
  'constant' in operand;

/** The range of an operand: what its quantisation holds, or its least and largest element. */
export function operandRange(operand: Operand): Range {
  if (!isConstant(operand)) return rangeOf(operand.value.quantisation);
  return operand.constant.reduce((r, v) => ({ min: Math.min(r.min, v), max: Math.max(r.max, v) }), {
    min: Number.POSITIVE_INFINITY,
    max: Number.NEGATIVE_INFINITY,
  });
}

/** A value with axes of one element before its own, `rank` in all. */
const ranked = (value: Value, rank: number): Value => ({
  ...value,
  dims: [...new Array<number>(rank - value.dims.length).fill(1), ...value.dims],
  strides: sameOrExpanded(value, new Array<number>(rank).fill(1)),
});

/** A value dense and of a result's whole shape: itself, or a copy that repeats it. */
export function wholeShape(node: Node, lowering: Lowering, value: Value, dims: readonly number[]): Value {
  return elementCount(value.dims) === elementCount(dims)
    ? lowering.dense(node, ranked(value, dims.length))
    : repeated(node, lowering, value, dims);
}

/** f of every element, as a new value in the order of x, which must be dense. */
export function applied(
  node: Node,
  lowering: Lowering,
  x: Value,
  f: (x: number) => number,
  { name, quantisation }: { readonly name: string; readonly quantisation: Quantisation },
): Value {
  const order = physicalOrder(x);
  const y = lowering.allocate(name, x.dims, quantisation, order);
  lowering.emit({
    name: nodeName(node),
    body: { kind: 'lookup', table: lookupTable(f, x.quantisation, quantisation) },
    reads: [{ view: elements(x, order), access: 'rows' }],
    write: elements(y, order),
  });
  return y;
}

export interface Combination {
  readonly kind: 'add' | 'mul';
  /** a - b instead of a + b. */
  readonly negative?: boolean;
  readonly name: string;
  readonly quantisation: Quantisation;
  /** Of a constant operand; by default that of its own range. */
  readonly constantQuantisation?: Quantisation;
}

/** a + b, a - b or a b as a new value in the order of a, which must be dense and of the whole shape; b may repeat along axes. */
export function combined(node: Node, lowering: Lowering, a: Value, b: Operand, to: Combination): Value {
  const order = physicalOrder(a);
  const y = lowering.allocate(to.name, a.dims, to.quantisation, order);
  const reads: Read[] = [{ view: elements(a, order), access: 'rows' }];
  let constant: ConstantOperand | undefined;
  let quantisation: Quantisation;
  if (isConstant(b)) {
    quantisation = to.constantQuantisation ?? quantisationOf(operandRange(b));
    constant = constantOperand(b.constant, b.dims, a, order, quantisation);
  } else {
    quantisation = b.value.quantisation;
    reads.push(secondRead(node, lowering, b.value, a, order));
  }
  lowering.emit({
    name: nodeName(node),
    body: {
      kind: to.kind,
      negative: to.negative ?? false,
      a: a.quantisation,
      b: quantisation,
      y: to.quantisation,
      low: -128,
      high: 127,
      ...(constant && { constant }),
    },
    reads,
    write: elements(y, order),
  });
  return y;
}
