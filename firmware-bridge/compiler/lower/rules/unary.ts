import { elementCount, type Node } from '../../../../daemon/network/graph.js';
import { lookupTable } from '../../quantise/lookup-table.js';
import { type Lowering, type LoweringRule, nodeName, unsupported } from '../lowering.js';
import type { View } from '../operators.js';
import type { TableFunction } from '../table-function.js';
import { physicalOrder, rowsAlong, type Value } from '../value.js';

/**
 * A function of one value as a table of 256 answers. Where the function is infinite, the answer is the end of the calibrated
 * range; where it has no value, that of the nearest input that has one.
 */
export const unary: LoweringRule = (node, lowering) => {
  const table = lowering.table(node);
  if (!table) throw unsupported(node, 'its function is not known');
  lookup(node, lowering, table);
};

/**
 * Applies a function to every element of one input. Functions behind one another become one table, which rounds once:
 * where the only reader of the result is another table, the result waits for it.
 */
export function lookup(node: Node, lowering: Lowering, { input, f }: TableFunction): void {
  const name = node.outputs[0] as string;
  const before = lowering.takeWaiting(node.inputs[input]);
  const x = before?.x ?? lowering.dense(node, lowering.value(node, input));
  const whole = before ? (value: number): number => f(before.f(value)) : f;
  const emit = (): void => {
    const order = physicalOrder(x);
    const y = lowering.allocate(name, x.dims, lowering.quantisation(name), order);
    lowering.emit({
      name: nodeName(node),
      body: { kind: 'lookup', table: lookupTable(whole, x.quantisation, y.quantisation) },
      reads: [{ view: elements(x, order), access: 'rows' }],
      write: elements(y, order),
    });
    const dims = lowering.dims(name);
    lowering.define(name, { ...y, dims, strides: sameOrExpanded(y, dims) });
  };
  if (lowering.goesIntoTable(name)) lowering.wait(name, { x, f: finite(whole, lowering, name), emit });
  else emit();
}

/** A function whose infinities are the ends of the calibrated range. */
function finite(f: (x: number) => number, lowering: Lowering, name: string): (x: number) => number {
  const range = lowering.range(name);
  if (!range) return f;
  return (x) => {
    const y = f(x);
    return y === Number.POSITIVE_INFINITY ? range.max : y === Number.NEGATIVE_INFINITY ? range.min : y;
  };
}

/** A result of more axes of one element than its input has (a scalar constant of higher rank beside it). */
export function sameOrExpanded(y: Value, dims: readonly number[]): readonly number[] {
  return [...new Array<number>(dims.length - y.dims.length).fill(elementCount(y.dims)), ...y.strides];
}

/** A value as rows of its innermost axis in memory. */
export const elements = (value: Value, order: readonly number[]): View =>
  rowsAlong(value, order.slice(0, -1), order.slice(-1)) as View;
