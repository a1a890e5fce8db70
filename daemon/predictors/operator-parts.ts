import { type Measurement, type OperatorCost, operatorCostOf } from '../core/measurement.js';
import { countCost } from '../network/cost.js';
import type { Graph } from '../network/graph.js';
import type { Block } from '../search/spaces/contract.js';

export interface Part {
  readonly key: string;
  readonly cost: number;
}

/** One operator as a device executed it: microseconds, or the unit of a board's counts. */
export interface ExecutedOperator {
  readonly name: string;
  readonly op: string;
  readonly cost: number;
  readonly outputBytes: number;
}

/** What onnxruntime appends to a node's name where the CPU has it compute in blocks of channels. */
const blockedLayout = /_nchwc(_token_\d+)?$/;

export const profiledOperators = (operators: readonly OperatorCost[]): ExecutedOperator[] =>
  operators.map((operator) => ({
    name: operator.name.replace(blockedLayout, ''),
    op: operator.op,
    cost: operatorCostOf(operator),
    outputBytes: operator.outputBytes,
  }));

/** A board counts operator by operator whenever it measures; none elsewhere. */
export const countedOperators = ({ counts }: Pick<Measurement, 'counts'>): ExecutedOperator[] =>
  (counts?.operators ?? []).map(({ name, op, count }) => ({ name, op, cost: count, outputBytes: 0 }));

/**
 * The operators that a runtime executed, keyed by operator and shape. A fused operator keeps the name of the node that
 * leads it and stands for all it took in; what a runtime adds of its own (layout changes) is keyed by its size.
 */
export function operatorParts(operators: readonly ExecutedOperator[], network: Graph): Part[] {
  const keys = new Map(countCost(network).operators.map(({ name, key }) => [name, key]));
  return operators.map(({ name, op, cost, outputBytes }) => ({
    key: keys.get(name) ?? `${op} ${outputBytes}B`,
    cost,
  }));
}

/** The same summed by block: an operator belongs to the block whose constants it or the nearest one before it reads. */
export function blockParts(
  operators: readonly ExecutedOperator[],
  network: Graph,
  blocks: readonly Block[],
): (Part & { readonly layer: number | null; readonly choice: string | null })[] {
  const home = new Map<string, number>();
  let at = 0;
  for (const node of network.nodes) {
    const own = blocks.findIndex(({ prefix }) => node.inputs.some((input) => input.startsWith(prefix)));
    if (own >= 0) at = own;
    else if (blocks[at + 1]?.op === node.op) at++;
    home.set(node.name || (node.outputs[0] ?? node.op), at);
  }
  const sums = blocks.map(() => 0);
  let current = 0;
  for (const { name, cost } of operators) {
    current = home.get(name) ?? current;
    sums[current] = (sums[current] as number) + cost;
  }
  return blocks.map(({ key, layer, choice }, i) => ({ key, cost: sums[i] as number, layer, choice }));
}
