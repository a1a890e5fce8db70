import { HildaError } from '../core/errors.js';
import { byteCount, type Graph } from './graph.js';
import { inferKnownShapes, inferTable, type ShapeTable } from './infer-shapes.js';
import { innerCost } from './inner-cost.js';
import { LiveValues } from './live-values.js';
import { keyOf } from './operator-key.js';
import { macsOf } from './operator-macs.js';
import { ruleOf } from './shape-rules/catalogue.js';
import { placeText, type RuleInput, type Shape } from './shape-rules/rule.js';
import { type Constant, isConstantNode, parametersOf, readsOf, Weights, weightBytesOf } from './weights.js';

export interface OperatorCount {
  readonly name: string;
  readonly op: string;
  /** Multiply-accumulates; 0 for what moves or compares. Elementwise arithmetic counts as no MAC. */
  readonly macs: number;
  readonly parameters: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Activation bytes alive while the operator runs: its inputs and outputs, and what later operators still need. */
  readonly liveBytes: number;
  readonly outputDims: readonly number[];
  /** Operator, input shape and attributes in one line: equal keys cost the same. The predictor's table key. */
  readonly key: string;
}

export interface NetworkCost {
  readonly macs: number;
  readonly parameters: number;
  /** Of all constants, wherever they stand, each once. */
  readonly weightBytes: number;
  /** Constants and activations read plus activations written, each once an operator. Constant nodes do nothing. */
  readonly bytesMoved: number;
  /** In the graph's order, without in-place reuse. */
  readonly peakActivationBytes: number;
  readonly peakOperator: string;
  readonly operators: readonly OperatorCount[];
}

/** A part of a cost is null where an operator or a shape is not known: never 0, as if it were free. */
type Known<T, Parts extends keyof T> = Omit<T, Parts> & { readonly [P in Parts]: T[P] | null };

export type KnownOperatorCount = Known<OperatorCount, 'macs' | 'bytesRead' | 'bytesWritten' | 'liveBytes'>;

/** An operator whose multiply-accumulates nothing here can count. */
export interface UncountedOperator {
  readonly name: string;
  readonly op: string;
  readonly reason: string;
}

export interface KnownCost
  extends Omit<Known<NetworkCost, 'macs' | 'bytesMoved' | 'peakActivationBytes'>, 'operators'> {
  readonly operators: readonly KnownOperatorCount[];
  readonly uncounted: readonly UncountedOperator[];
}

/** Counts what a graph does, batch as given. Throws what `inferShapes` throws, OPERATOR_UNSUPPORTED for an uncounted one. */
export function countCost(graph: Graph): NetworkCost {
  const cost = countGraph(graph, inferTable(graph), new Weights(graph));
  const [missing] = cost.uncounted;
  if (missing)
    throw new HildaError('OPERATOR_UNSUPPORTED', `the cost cannot be counted: ${missing.reason}`, {
      details: { operator: missing.op, node: missing.name },
    });
  return cost as NetworkCost;
}

/** A measurement asks for the cost of its network several times; graphs never change. */
const knownCosts = new WeakMap<Graph, KnownCost>();

/** Counts what can be counted; `given` tells shapes as for `inferKnownShapes`. Throws ONNX_INVALID. */
export function countKnownCost(graph: Graph, given?: ReadonlyMap<string, Shape>): KnownCost {
  const count = (): KnownCost => countGraph(graph, inferKnownShapes(graph, given).table, new Weights(graph));
  if (given) return count();
  const cost = knownCosts.get(graph) ?? count();
  knownCosts.set(graph, cost);
  return cost;
}

/** Counts a graph whose values are in `table`; also graphs inside others. */
function countGraph(graph: Graph, table: ShapeTable, weights: Weights): KnownCost {
  const shapes = table.entries();
  const bytesOf = (name: string): number => {
    const shape = table.find(name);
    // Not a number spreads through every sum that it enters.
    return shape ? byteCount(shape.dtype, shape.dims) : Number.NaN;
  };
  const alive = new LiveValues(graph, bytesOf, (name) => weights.isConstant(name));
  const seen = new Set<Constant>();
  const uncounted: UncountedOperator[] = [];
  const operators: KnownOperatorCount[] = [];
  graph.nodes.forEach((node, index) => {
    if (isConstantNode(node)) return;
    const inputs = readsOf(node);
    const outputs = node.outputs.filter((name) => name !== '');
    const input = table.inputOf(node);
    const name = node.name || (outputs[0] ?? node.op);
    const inside = innerCost(input, (inner, bound) =>
      countGraph(inner, table.inside(inner, bound, node), new Weights(inner, weights)),
    );
    const macs = inside
      ? inside.macs
      : macsAt(
          input,
          outputs.map((output) => shapes.get(output)),
        );
    if (typeof macs !== 'number') uncounted.push({ name, op: node.op, reason: macs });
    operators.push({
      name,
      op: node.op,
      macs: typeof macs === 'number' ? macs : null,
      parameters: parametersOf(node, weights, seen),
      bytesRead: known(sumOf(inputs, bytesOf) + (inside?.bytesMoved ?? 0)),
      bytesWritten: known(sumOf(outputs, bytesOf)),
      liveBytes: known(alive.step(index, outputs) + (inside?.peak ?? 0)),
      outputDims: shapes.get(outputs[0] ?? '')?.dims ?? [],
      key: keyOf(
        node,
        (value) => table.find(value),
        (value) => weights.isFolded(value),
      ),
    });
  });
  const total = (of: (operator: KnownOperatorCount) => number | null): number | null =>
    known(sumOf(operators, (operator) => of(operator) ?? Number.NaN));
  const peak = operators.reduce<KnownOperatorCount | undefined>(
    (a, b) => (a && (a.liveBytes ?? 0) >= (b.liveBytes ?? 0) ? a : b),
    undefined,
  );
  return {
    macs: total((o) => o.macs),
    parameters: sumOf(operators, (o) => o.parameters),
    weightBytes: weightBytesOf(graph),
    bytesMoved: known(sumOf(operators, (o) => (o.bytesRead ?? Number.NaN) + (o.bytesWritten ?? Number.NaN))),
    peakActivationBytes: operators.some((o) => o.liveBytes === null) ? null : (peak?.liveBytes ?? 0),
    peakOperator: peak?.name ?? '',
    operators,
    uncounted,
  };
}

const sumOf = <T>(items: readonly T[], of: (item: T) => number): number =>
  items.reduce((sum, item) => sum + of(item), 0);

const known = (value: number): number | null => (Number.isNaN(value) ? null : value);

/** Multiply-accumulates of an operator, or why they are not known. */
function macsAt(input: RuleInput, outputs: readonly (Shape | undefined)[]): number | string {
  try {
    // Throws for an operator without a rule, also where its shapes are given.
    ruleOf(input);
    return macsOf(input, outputs) ?? `${placeText(input)}: how a runtime computes it is not known`;
  } catch (error) {
    if (error instanceof HildaError && error.code !== 'ONNX_INVALID') return error.message;
    throw error;
  }
}

/** The predictor's input: how many operators of each key, and the totals `macs` and `bytesMoved`. Takes a graph, or its cost where that is counted already. */
export function costFeatures(network: Graph | NetworkCost): ReadonlyMap<string, number> {
  const cost = 'operators' in network ? network : countCost(network);
  const features = new Map<string, number>([
    ['macs', cost.macs],
    ['bytesMoved', cost.bytesMoved],
  ]);
  for (const { key } of cost.operators) features.set(key, (features.get(key) ?? 0) + 1);
  return features;
}
