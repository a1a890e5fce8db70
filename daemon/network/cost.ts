import { bytesPerElement, elementCount, type Graph, type Node } from './graph.js';
import { inferShapes } from './infer-shapes.js';
import { intAttribute, intsAttribute, type Shape } from './shape-rules/rule.js';

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
  readonly weightBytes: number;
  /** Constants and activations read plus activations written, each once an operator. */
  readonly bytesMoved: number;
  /** In the graph's order, without in-place reuse. */
  readonly peakActivationBytes: number;
  readonly peakOperator: string;
  readonly operators: readonly OperatorCount[];
}

const bytesOf = (shape: Shape): number => elementCount(shape.dims) * bytesPerElement[shape.dtype];

/** Counts what a graph does, batch as given. Throws what `inferShapes` throws. */
export function countCost(graph: Graph): NetworkCost {
  const shapes = inferShapes(graph);
  const shapeOf = (name: string): Shape => shapes.get(name) as Shape;
  const isConstant = (name: string): boolean => graph.initializers.has(name);
  const lastUse = lastUses(graph);
  const ending = new Map<number, string[]>();
  for (const [name, index] of lastUse) {
    const names = ending.get(index);
    if (names) names.push(name);
    else ending.set(index, [name]);
  }
  const alive = new Map<string, number>();
  let aliveBytes = 0;
  const start = (name: string): void => {
    const bytes = bytesOf(shapeOf(name));
    alive.set(name, bytes);
    aliveBytes += bytes;
  };
  const end = (name: string): void => {
    aliveBytes -= alive.get(name) ?? 0;
    alive.delete(name);
  };
  for (const { name } of graph.inputs) if (!isConstant(name)) start(name);
  const seen = new Set<string>();

  const operators = graph.nodes.map((node, index): OperatorCount => {
    const inputs = [...new Set(node.inputs.filter((name) => name !== ''))];
    const outputs = node.outputs.filter((name) => shapes.has(name));
    outputs.forEach(start);
    const liveBytes = aliveBytes;
    ending.get(index)?.forEach(end);
    // A value that nothing reads ends where it began.
    for (const name of outputs) if (!lastUse.has(name)) end(name);
    // A constant shared by several operators is counted where it is first used.
    const fresh = inputs.filter((name) => isConstant(name) && !seen.has(name));
    for (const name of fresh) seen.add(name);
    return {
      name: node.name || (outputs[0] ?? node.op),
      op: node.op,
      macs: macsOf(node, shapeOf),
      parameters: fresh
        .filter((name) => shapeOf(name).dtype !== 'int64')
        .reduce((sum, name) => sum + elementCount(shapeOf(name).dims), 0),
      bytesRead: inputs.reduce((sum, name) => sum + bytesOf(shapeOf(name)), 0),
      bytesWritten: outputs.reduce((sum, name) => sum + bytesOf(shapeOf(name)), 0),
      liveBytes,
      outputDims: outputs[0] ? shapeOf(outputs[0]).dims : [],
      key: keyOf(node, shapeOf, isConstant),
    };
  });

  const sum = (of: (operator: OperatorCount) => number): number =>
    operators.reduce((total, operator) => total + of(operator), 0);
  const peak = operators.reduce<OperatorCount | undefined>(
    (a, b) => (a && a.liveBytes >= b.liveBytes ? a : b),
    undefined,
  );
  return {
    macs: sum((o) => o.macs),
    parameters: sum((o) => o.parameters),
    weightBytes: [...graph.initializers.values()].reduce(
      (total, tensor) => total + tensor.data.byteLength,
      0,
    ),
    bytesMoved: sum((o) => o.bytesRead + o.bytesWritten),
    peakActivationBytes: peak?.liveBytes ?? 0,
    peakOperator: peak?.name ?? '',
    operators,
  };
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

/** Index of the last node that reads a value; outputs of the graph live to the end. */
function lastUses(graph: Graph): ReadonlyMap<string, number> {
  const last = new Map<string, number>();
  graph.nodes.forEach((node, index) => {
    for (const name of node.inputs) last.set(name, index);
  });
  for (const { name } of graph.outputs) last.set(name, graph.nodes.length);
  return last;
}

function macsOf(node: Node, shapeOf: (name: string) => Shape): number {
  const dims = (i: number): readonly number[] => shapeOf(node.inputs[i] as string).dims;
  const out = elementCount(shapeOf(node.outputs[0] as string)?.dims ?? []);
  switch (node.op) {
    case 'Conv':
      return out * elementCount(dims(1).slice(1));
    case 'ConvTranspose':
      return elementCount(dims(0)) * elementCount(dims(1).slice(1));
    case 'Gemm':
      return out * (dims(0)[intAttribute(node, 'transA', 0) ? 0 : 1] as number);
    case 'MatMul':
      return out * (dims(0).at(-1) as number);
    default:
      return 0;
  }
}

function keyOf(node: Node, shapeOf: (name: string) => Shape, isConstant: (name: string) => boolean): string {
  const activations = node.inputs
    .filter((name) => name !== '' && !isConstant(name))
    .map((name) => shapeOf(name).dims.join('x'));
  const output = shapeOf(node.outputs[0] as string)?.dims.join('x') ?? '';
  const head = `${node.op} ${activations.join(' ')} > ${output}`;
  if (node.op === 'Transpose') return `${head} p${(intsAttribute(node, 'perm') ?? []).join('')}`;
  const kernel =
    node.op === 'Conv' || node.op === 'ConvTranspose'
      ? shapeOf(node.inputs[1] as string).dims.slice(2)
      : intsAttribute(node, 'kernel_shape');
  if (!kernel) return head;
  const window = `${head} k${kernel.join('x')} s${(intsAttribute(node, 'strides') ?? kernel.map(() => 1)).join('x')}`;
  if (node.op !== 'Conv' && node.op !== 'ConvTranspose') return window;
  const dilations = intsAttribute(node, 'dilations') ?? [];
  return `${window} g${intAttribute(node, 'group', 1)}${dilations.some((d) => d !== 1) ? ` d${dilations.join('x')}` : ''}`;
}
