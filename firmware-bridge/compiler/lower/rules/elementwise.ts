import { elementCount, type Node } from '../../../../daemon/network/graph.js';
import { lookupTable } from '../../quantise/lookup-table.js';
import { limitsOf, type Quantisation, quantisationOf, type Range } from '../../quantise/quantisation.js';
import { type Lowering, type LoweringRule, nodeName, unsupported } from '../lowering.js';
import type { ConstantOperand, Read } from '../operators.js';
import { physicalOrder, type Value } from '../value.js';
import { clampAttributes } from './clamp-attributes.js';
import { constantOperand, repeated, secondRead } from './operands.js';
import { elements, lookup, sameOrExpanded } from './unary.js';

/**
 * Add, Sub, Mul and Div of two activations or of one and a constant; with a constant scalar, any of the five as a table. A
 * quotient is a product by the reciprocal.
 */
export const binary: LoweringRule = (node, lowering) => {
  const { op } = node;
  const at = lowering.isActivation(node.inputs[0]) ? 0 : 1;
  const other = node.inputs[1 - at];
  const constant = lowering.isActivation(other) ? undefined : lowering.floats(other);
  const table = lowering.table(node);
  if (table) return lookup(node, lowering, table);
  if (!lowering.isActivation(other) && !constant) throw unsupported(node, 'its constant is no float');
  if (op === 'Pow' || ((op === 'Div' || op === 'Sub') && at === 1 && constant))
    throw unsupported(node, 'only a constant scalar can stand there');
  if (op !== 'Div') return arithmetic(node, lowering, at, constant);
  if (constant?.includes(0)) throw unsupported(node, 'it divides by zero');
  if (constant)
    return arithmetic(
      node,
      lowering,
      at,
      constant.map((value) => 1 / value),
    );
  arithmetic(node, lowering, at, undefined, reciprocal(node, lowering));
};

/** 1 / x of the second operand, as a table over the range that was seen of x: it must keep away from zero. */
function reciprocal(node: Node, lowering: Lowering): Value {
  const x = lowering.dense(node, lowering.value(node, 1));
  // Uncalibrated networks answer nonsense anyway: any range that keeps away from zero will do.
  const { min, max } = lowering.range(node.inputs[1] as string) ?? { min: 0.25, max: 4 };
  if (min <= 0 && max >= 0)
    throw unsupported(node, `its divisor was seen between ${min} and ${max}: it may be zero`);
  const order = physicalOrder(x);
  const quantisation = quantisationOf({ min: 1 / max, max: 1 / min });
  const y = lowering.allocate(`${node.outputs[0]}.reciprocal`, x.dims, quantisation, order);
  // What rounds closer to zero than anything seen counts as the closest.
  const f = (value: number): number => 1 / Math.min(max, Math.max(min, value));
  lowering.emit({
    name: nodeName(node),
    body: { kind: 'lookup', table: lookupTable(f, x.quantisation, quantisation) },
    reads: [{ view: elements(x, order), access: 'rows' }],
    write: elements(y, order),
  });
  return y;
}

/** `divisor` stands in for the second operand of a quotient. */
function arithmetic(
  node: Node,
  lowering: Lowering,
  at: number,
  constant: Float32Array | undefined,
  divisor?: Value,
): void {
  const name = node.outputs[0] as string;
  const dims = lowering.dims(name);
  const operand = (i: number): Value => (i === 1 && divisor ? divisor : lowering.value(node, i));
  let [first, second] = [at, 1 - at];
  // The operand of the full shape comes first; Sub keeps its order.
  if (!constant && node.op !== 'Sub' && elementCount(operand(first).dims) < elementCount(dims))
    [first, second] = [second, first];
  const found = operand(first);
  // All elements, of fewer axes than its partner has.
  const isShort =
    !constant && found.dims.length < dims.length && elementCount(found.dims) === elementCount(dims);
  const given = isShort ? { ...found, dims, strides: sameOrExpanded(found, dims) } : found;
  const isFull = elementCount(given.dims) === elementCount(dims);
  const a = isFull ? lowering.dense(node, given) : repeated(node, lowering, given, dims);
  const order = physicalOrder(a);
  const grid = node.op === 'Div' ? undefined : lowering.gridOf(node.inputs[second]);
  const b: Quantisation = !constant
    ? operand(second).quantisation
    : grid && grid.axis === undefined
      ? { scale: grid.scales[0] as number, zeroPoint: grid.zeroPoint }
      : quantisationOf(rangeOf(constant));
  const isProduct = node.op === 'Mul' || node.op === 'Div';
  // A sum of equals that differ in sign has next to no range.
  const step = isProduct ? a.quantisation.scale * b.scale : Math.max(a.quantisation.scale, b.scale) / 1024;
  const y = lowering.allocate(name, a.dims, lowering.quantisationFor(name, step), order);
  if (!isProduct && lowering.onlyReader(name)?.op === 'Softmax')
    refuseDrowned(node, [a.quantisation, b], y.quantisation);
  if (!isProduct) refuseLost(node, a.quantisation, b, lowering.range(name));
  const reads: Read[] = [{ view: elements(a, order), access: 'rows' }];
  let constantOf: ConstantOperand | undefined;
  if (constant)
    constantOf = constantOperand(constant, lowering.dims(node.inputs[second] as string), a, order, b);
  else reads.push(secondRead(node, lowering, operand(second), a, order));
  const [low, high] = limitsOf(clampAttributes(node), y.quantisation);
  lowering.emit({
    name: nodeName(node),
    body: {
      kind: isProduct ? 'mul' : 'add',
      negative: node.op === 'Sub',
      a: a.quantisation,
      b,
      y: y.quantisation,
      low,
      high,
      ...(constantOf && { constant: constantOf }),
    },
    reads,
    write: elements(y, order),
  });
  lowering.define(name, y.dims.length === dims.length ? y : { ...y, dims, strides: sameOrExpanded(y, dims) });
}

/** A difference of large values that is smaller than one of their steps: nothing of it is left in int8. */
function refuseLost(node: Node, a: Quantisation, b: Quantisation, seen: Range | undefined): void {
  const [step, span] = [Math.max(a.scale, b.scale), seen ? seen.max - seen.min : Number.POSITIVE_INFINITY];
  // What is left of equals in float32 is no result.
  if (span < step && span > 255 * step * 1e-5)
    throw unsupported(
      node,
      `its result spans ${span.toPrecision(3)}, less than one step of its operands, ${step.toPrecision(3)}`,
    );
}

/** Scores that a mask beside them leaves fewer steps than a softmax needs. */
function refuseDrowned(node: Node, operands: readonly Quantisation[], y: Quantisation): void {
  const drowned = operands.find(({ scale }) => 255 * scale > 1 && 255 * scale < 8 * y.scale);
  if (drowned)
    throw unsupported(
      node,
      `its operand of a span of ${(255 * drowned.scale).toPrecision(3)} is left steps of ${y.scale.toPrecision(3)} before a softmax`,
      'A mask that is added to scores must be constant, or near the scores.',
    );
}

const rangeOf = (values: Float32Array): { min: number; max: number } =>
  values.reduce((r, v) => ({ min: Math.min(r.min, v), max: Math.max(r.max, v) }), { min: 0, max: 0 });
