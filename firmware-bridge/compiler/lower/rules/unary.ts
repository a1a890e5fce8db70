import { elementCount, type Node } from '../../../../daemon/network/graph.js';
import { clampOf } from '../../passes/fuse-clamps.js';
import { activations, lookupTable } from '../../quantise/lookup-table.js';
import { type Lowering, type LoweringRule, nodeName, unsupported } from '../lowering.js';
import type { View } from '../operators.js';
import { physicalOrder, rowsAlong, type Value } from '../value.js';

/** A function of one value: 256 answers in a table. */
export const unary: LoweringRule = (node, lowering) => {
  const { attributes, op } = node;
  const number = (name: string, fallback: number): number => {
    const value = attributes[name];
    return typeof value === 'number' ? value : fallback;
  };
  const alpha = number('alpha', op === 'HardSigmoid' ? 0.2 : op === 'LeakyRelu' ? 0.01 : 1);
  const parametric = new Map<string, (x: number) => number>([
    ['LeakyRelu', (x) => (x < 0 ? alpha * x : x)],
    ['Elu', (x) => (x < 0 ? alpha * Math.expm1(x) : x)],
    ['HardSigmoid', (x) => Math.min(1, Math.max(0, alpha * x + number('beta', 0.5)))],
  ]);
  if (op === 'Clip') {
    const scalar = (name: string | undefined): number | undefined => {
      const values = lowering.numbers(name);
      return values?.length === 1 ? values[0] : undefined;
    };
    const limits = clampOf({ scalar }, node);
    if (!limits) throw unsupported(node, 'it needs constant limits');
    const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = limits;
    return lookup(node, lowering, 0, (x) => Math.min(max, Math.max(min, x)));
  }
  const approximate = attributes.approximate ?? 'none';
  if (op === 'Gelu' && approximate !== 'none' && approximate !== 'tanh')
    throw unsupported(node, `its attribute approximate is ${approximate}`);
  const f = parametric.get(op) ?? activations.get(op === 'Gelu' && approximate === 'tanh' ? 'GeluTanh' : op);
  if (!f) throw unsupported(node, 'its function is not known');
  lookup(node, lowering, 0, f);
};

/** Applies f to every element of input i. */
export function lookup(node: Node, lowering: Lowering, i: number, f: (x: number) => number): void {
  const name = node.outputs[0] as string;
  const x = lowering.dense(node, lowering.value(node, i));
  const order = physicalOrder(x);
  const y = lowering.allocate(name, x.dims, lowering.quantisation(name), order);
  lowering.emit({
    name: nodeName(node),
    body: { kind: 'lookup', table: lookupTable(f, x.quantisation, y.quantisation) },
    reads: [{ view: elements(x, order), access: 'rows' }],
    write: elements(y, order),
  });
  lowering.define(name, { ...y, dims: lowering.dims(name), strides: sameOrExpanded(y, lowering.dims(name)) });
}

/** A result of more axes of one element than its input has (a scalar constant of higher rank beside it). */
export function sameOrExpanded(y: Value, dims: readonly number[]): readonly number[] {
  return [...new Array<number>(dims.length - y.dims.length).fill(elementCount(y.dims)), ...y.strides];
}

/** A value as rows of its innermost axis in memory. */
export const elements = (value: Value, order: readonly number[]): View =>
  rowsAlong(value, order.slice(0, -1), order.slice(-1)) as View;
