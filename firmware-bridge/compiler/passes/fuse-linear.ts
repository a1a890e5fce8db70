import { seedOfName } from '../../../daemon/network/generated-signs.js';
import { elementCount, floatTensor, type Node } from '../../../daemon/network/graph.js';
import { intAttribute } from '../../../daemon/network/shape-rules/rule.js';
import { scaledGrid, transposedGrid } from '../quantise/constant-grid.js';
import { type EditableGraph, fusedNode } from './editable-graph.js';

/**
 * Products by a constant matrix become Linear(x, weight [in, out], bias [out]): MatMul with the Add behind it, and Gemm.
 */
export function fuseLinear(graph: EditableGraph): void {
  for (const node of graph.nodes) {
    if (node.op === 'MatMul' && node.domain === '') fuseMatMul(graph, node);
    if (node.op === 'Gemm') fuseGemm(graph, node);
  }
}

function fuseMatMul(graph: EditableGraph, node: Node): void {
  const dims = graph.constant(node.inputs[1])?.dims;
  if (!graph.floats(node.inputs[1]) || dims?.length !== 2) return;
  const width = dims[1] as number;
  const next = graph.onlyConsumer(node.outputs[0] as string);
  const bias =
    next?.op === 'Add' ? next.inputs.find((name) => graph.floats(name)?.length === width) : undefined;
  const isVector = bias && graph.constant(bias)?.dims.at(-1) === width;
  const inputs = node.inputs as [string, string];
  if (next && bias && isVector) {
    graph.remove([node]);
    graph.replace(next, fusedNode(next, 'Linear', [...inputs, bias]));
  } else graph.replace(node, fusedNode(node, 'Linear', inputs));
}

function fuseGemm(graph: EditableGraph, node: Node): void {
  const weight = graph.floats(node.inputs[1]);
  const dims = graph.constant(node.inputs[1])?.dims as readonly [number, number] | undefined;
  if (!weight || !dims || intAttribute(node, 'transA', 0)) return;
  const [alpha, beta] = [Number(node.attributes.alpha ?? 1), Number(node.attributes.beta ?? 1)];
  const transposed = intAttribute(node, 'transB', 0) === 1;
  const [inputs, outputs] = transposed ? [dims[1], dims[0]] : dims;
  const name = node.outputs[0] as string;
  const matrix = Float32Array.from({ length: weight.length }, (_, i) => {
    const [k, n] = [Math.floor(i / outputs), i % outputs];
    return alpha * (weight[transposed ? n * inputs + k : i] as number);
  });
  const given = node.inputs[2] ? graph.floats(node.inputs[2]) : undefined;
  if (node.inputs[2] && (!given || (given.length !== outputs && given.length !== 1))) return;
  const bias = Float32Array.from({ length: outputs }, (_, n) =>
    given ? beta * (given[given.length === 1 ? 0 : n] as number) : 0,
  );
  const own = node.inputs[1] as string;
  // A name that says whose signs the elements are stays with them.
  const named = alpha === 1 && seedOfName(own) !== undefined;
  const weightName = named ? `${own}${transposed ? '.transposed' : ''}` : `${name}.weight`;
  const stored = graph.setConstant(weightName, floatTensor([inputs, outputs], matrix));
  const grid = scaledGrid(graph.grids.get(own), alpha);
  if (grid) graph.grids.set(stored, (transposed && transposedGrid(grid, [1, 0])) || grid);
  graph.replace(
    node,
    fusedNode(node, 'Linear', [
      node.inputs[0] as string,
      stored,
      graph.setConstant(`${name}.bias`, floatTensor([outputs], bias)),
    ]),
  );
}

/**
 * A constant factor behind or before a product of two activations moves into the product: attention's 1 / sqrt d costs
 * nothing there.
 */
export function fuseScale(graph: EditableGraph): void {
  for (const old of graph.nodes) {
    const node = graph.producer(old.outputs[0]);
    if (node?.op !== 'Mul' && node?.op !== 'Div') continue;
    const at = node.inputs.findIndex((name) => graph.scalar(name) !== undefined);
    const factor = graph.scalar(node.inputs[at]);
    if (factor === undefined || (node.op === 'Div' && at !== 1)) continue;
    const product = graph.privateProducer(node.inputs[1 - at], 'MatMul', node);
    if (!product || elementCount(graph.constant(node.inputs[at])?.dims ?? []) !== 1) continue;
    const scale = Number(product.attributes.scale ?? 1) * (node.op === 'Mul' ? factor : 1 / factor);
    graph.remove([product]);
    graph.replace(node, fusedNode(node, 'MatMul', product.inputs, { scale }));
  }
}

/** Ends that may carry limits, so that a Relu or Clip behind them costs nothing. */
const clampable = new Set(['Conv', 'Linear', 'Add', 'MatMul']);

/** Relu and Clip become the limits `min` and `max` of the operator before them. */
export function fuseClamps(graph: EditableGraph): void {
  for (const old of graph.nodes) {
    const node = graph.producer(old.outputs[0]);
    if (node?.op !== 'Relu' && node?.op !== 'Clip') continue;
    const before = graph.producer(node.inputs[0]);
    if (!before || !clampable.has(before.op) || graph.onlyConsumer(node.inputs[0] as string) !== node)
      continue;
    const { min, max } = clampOf(graph, node);
    const limits = { ...(min !== undefined && { min }), ...(max !== undefined && { max }) };
    if ('min' in before.attributes || 'max' in before.attributes) continue;
    graph.remove([before]);
    graph.replace(node, {
      ...before,
      outputs: node.outputs,
      attributes: { ...before.attributes, ...limits },
    });
  }
}

export function clampOf(
  graph: Pick<EditableGraph, 'scalar'>,
  node: Node,
): { readonly min: number | undefined; readonly max: number | undefined } {
  if (node.op === 'Relu') return { min: 0, max: undefined };
  const limit = (i: number, name: string): number | undefined => {
    const value = node.attributes[name];
    return node.inputs[i] ? graph.scalar(node.inputs[i]) : typeof value === 'number' ? value : undefined;
  };
  return { min: limit(1, 'min'), max: limit(2, 'max') };
}
