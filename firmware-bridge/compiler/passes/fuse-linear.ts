import { seedOfName } from '../../../daemon/network/generated-signs.js';
import { elementCount, floatTensor, type Node } from '../../../daemon/network/graph.js';
import { intAttribute } from '../../../daemon/network/shape-rules/rule.js';
import { reshapedGrid, scaledGrid, transposedGrid } from '../quantise/constant-grid.js';
import { type EditableGraph, fusedDomain, fusedNode } from './editable-graph.js';
import type { Shapes } from './fold-constants.js';
import { alongAxis } from './vector-constants.js';

/** Products by a constant matrix become Linear(x, weight [in, out], bias [out]): MatMul with the Add behind it, and Gemm. */
export function fuseLinear(graph: EditableGraph, shapes: Shapes): void {
  for (const node of graph.nodes) {
    if (node.op === 'MatMul' && node.domain === '') fuseMatMul(graph, node, shapes);
    if (node.op === 'Gemm') fuseGemm(graph, node, shapes);
  }
}

function fuseMatMul(graph: EditableGraph, node: Node, shapes: Shapes): void {
  const [x, weight] = node.inputs as [string, string];
  const values = graph.floats(weight);
  const dims = graph.constant(weight)?.dims ?? [];
  const out = shapes.get(node.outputs[0] as string)?.dims;
  const rank = shapes.get(x)?.dims.length ?? 0;
  // More axes are one matrix still where all of them have one element.
  const isMatrix =
    dims.length === 2 || (dims.length > 2 && dims.length <= rank && elementCount(dims.slice(0, -2)) === 1);
  if (!values || !isMatrix || !out || graph.constant(x)) return;
  const [inputs, width] = dims.slice(-2) as [number, number];
  const grid = reshapedGrid(graph.grids.get(weight), dims, [inputs, width]);
  const matrix =
    dims.length === 2 ? weight : graph.addConstant(weight, floatTensor([inputs, width], values), grid);
  const next = graph.onlyConsumer(node.outputs[0] as string);
  const bias = next?.op === 'Add' ? next.inputs.find((name) => name !== node.outputs[0]) : undefined;
  const shift = alongAxis(graph, bias, out, out.length - 1);
  if (next && bias && shift) {
    const given = graph.constant(bias)?.dims.length === 1 && shift.length === graph.floats(bias)?.length;
    const name = given ? bias : graph.addConstant(`${next.outputs[0]}.bias`, floatTensor([width], shift));
    graph.remove([node]);
    graph.replace(next, fusedNode(next, 'Linear', [x, matrix, name]));
  } else graph.replace(node, fusedNode(node, 'Linear', [x, matrix]));
}

/** Y = alpha A' B' + beta C, where B is constant. A constant C of other forms than a row is added in a step of its own. */
function fuseGemm(graph: EditableGraph, node: Node, shapes: Shapes): void {
  const own = node.inputs[1] as string;
  const weight = graph.floats(own);
  const dims = graph.constant(own)?.dims as readonly [number, number] | undefined;
  const out = shapes.get(node.outputs[0] as string)?.dims;
  const given = node.inputs[2] || undefined;
  if (!weight || !dims || !out || (given && !graph.floats(given)) || graph.constant(node.inputs[0])) return;
  const [alpha, beta] = [Number(node.attributes.alpha ?? 1), Number(node.attributes.beta ?? 1)];
  const isTransposed = intAttribute(node, 'transB', 0) !== 0;
  const [inputs, outputs] = isTransposed ? [dims[1], dims[0]] : dims;
  const name = node.outputs[0] as string;
  const matrix = Float32Array.from({ length: weight.length }, (_, i) => {
    const [k, n] = [Math.floor(i / outputs), i % outputs];
    return alpha * (weight[isTransposed ? n * inputs + k : i] as number);
  });
  const row = given ? alongAxis(graph, given, out, 1) : new Float32Array(outputs);
  // A name that says whose signs the elements are stays with them.
  const isNamed = alpha === 1 && seedOfName(own) !== undefined;
  const base = isNamed ? `${own}${isTransposed ? '.transposed' : ''}` : `${name}.weight`;
  const scaled = scaledGrid(graph.grids.get(own), alpha);
  const grid = isTransposed ? transposedGrid(scaled, [1, 0]) : scaled;
  const constants = [graph.addConstant(base, floatTensor([inputs, outputs], matrix), grid)];
  if (row)
    constants.push(
      graph.addConstant(
        `${name}.bias`,
        floatTensor(
          [outputs],
          row.map((b) => beta * b),
        ),
      ),
    );
  const made: Node[] = [];
  let x = node.inputs[0] as string;
  if (intAttribute(node, 'transA', 0) !== 0) {
    const turned = [...(shapes.get(x)?.dims ?? [])].reverse();
    const across = graph.makeValue(`${name}.transposed`, { dims: turned });
    made.push({ ...node, op: 'Transpose', inputs: [x], outputs: [across], attributes: { perm: [1, 0] } });
    x = across;
  }
  if (row) made.push(fusedNode(node, 'Linear', [x, ...constants]));
  else made.push(...productAndSum(graph, node, [x, ...constants], out, beta));
  graph.replace(node, ...made);
}

/** A product whose sum behind it is no row: C by rows, or by elements. */
function productAndSum(
  graph: EditableGraph,
  node: Node,
  inputs: readonly string[],
  dims: readonly number[],
  beta: number,
): Node[] {
  const [name, given] = [node.outputs[0] as string, node.inputs[2] as string];
  const values = (graph.floats(given) as Float32Array).map((c) => beta * c);
  const [least, most] = values.reduce(([a, b], c) => [Math.min(a, c), Math.max(b, c)], [0, 0]) as [
    number,
    number,
  ];
  const product = graph.makeValue(`${name}.product`, {
    dims,
    range: (rangeOf) => {
      const sum = rangeOf(name);
      return sum && { min: sum.min - most, max: sum.max - least };
    },
  });
  const shift = graph.addConstant(`${name}.shift`, floatTensor(graph.constant(given)?.dims ?? [], values));
  return [
    { ...fusedNode(node, 'Linear', inputs), outputs: [product] },
    { ...node, op: 'Add', inputs: [product, shift], attributes: {} },
  ];
}

/**
 * A constant factor behind a product of two activations moves into the product: attention's 1 / sqrt d costs nothing
 * there. Products by constants keep theirs: `foldVectorAffine` takes it into the weights.
 */
export function fuseScale(graph: EditableGraph, shapes: Shapes): void {
  for (const old of graph.nodes) {
    const node = graph.producer(old.outputs[0]);
    if (node?.op !== 'Mul' && node?.op !== 'Div') continue;
    const at = node.inputs.findIndex((name) => graph.floats(name)?.length === 1);
    const factor = graph.floats(node.inputs[at])?.[0];
    if (factor === undefined || (node.op === 'Div' && at !== 1)) continue;
    const product = graph.privateProducer(node.inputs[1 - at], 'MatMul', node);
    const scale = Number(product?.attributes.scale ?? 1) * (node.op === 'Mul' ? factor : 1 / factor);
    const rank = (value: string | undefined): number => shapes.get(value ?? '')?.dims.length ?? 0;
    if (!product || product.inputs.some((name) => graph.constant(name))) continue;
    // The board multiplies by a positive whole number, and a constant of more axes would add them.
    if (!(scale > 0 && Number.isFinite(scale)) || rank(product.outputs[0]) !== rank(node.outputs[0]))
      continue;
    graph.remove([product]);
    graph.replace(node, fusedNode(node, 'MatMul', product.inputs, { scale }));
  }
}

/** Whether a node is a product by constant weights that a pass has made. */
export const isLinear = (node: Node | undefined): node is Node =>
  node?.op === 'Linear' && node.domain === fusedDomain;
