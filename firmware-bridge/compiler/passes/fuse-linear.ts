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

/** Y = alpha A' B' + beta C, where B is constant and C a row, or left out; `spellGemm` sees to the others. */
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
  if (!row) return;
  // A name that says whose signs the elements are stays with them.
  const isNamed = alpha === 1 && seedOfName(own) !== undefined;
  const base = isNamed ? `${own}${isTransposed ? '.transposed' : ''}` : `${name}.weight`;
  const scaled = scaledGrid(graph.grids.get(own), alpha);
  const grid = isTransposed ? transposedGrid(scaled, [1, 0]) : scaled;
  const constants = [graph.addConstant(base, floatTensor([inputs, outputs], matrix), grid)];
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
  graph.replace(node, ...made, fusedNode(node, 'Linear', [x, ...constants]));
}

/**
 * Constant factors behind or before a product of two activations move into the product: attention's 1 / sqrt d costs
 * nothing there. Products by constants keep theirs: `foldVectorAffine` takes it into the weights.
 */
export function fuseScale(graph: EditableGraph, shapes: Shapes): void {
  for (const old of graph.nodes) {
    const node = graph.producer(old.outputs[0]);
    if (node?.op === 'MatMul') scaleBefore(graph, node, shapes);
    else if (node) scaleBehind(graph, node, shapes);
  }
}

/** The factor of a product or quotient by one constant number, and what it scales; undefined where shapes change. */
function scaledBy(
  graph: EditableGraph,
  node: Node | undefined,
  shapes: Shapes,
): { readonly factor: number; readonly input: string } | undefined {
  if (node?.op !== 'Mul' && node?.op !== 'Div') return undefined;
  const at = node.inputs.findIndex((name) => graph.floats(name)?.length === 1);
  const constant = graph.floats(node.inputs[at])?.[0];
  const input = node.inputs[1 - at] as string;
  if (constant === undefined || (node.op === 'Div' && at !== 1)) return undefined;
  const rank = (value: string): number => shapes.get(value)?.dims.length ?? 0;
  // A constant of more axes would add them.
  if (rank(input) !== rank(node.outputs[0] as string)) return undefined;
  return { factor: node.op === 'Mul' ? constant : 1 / constant, input };
}

const ofTwo = (graph: EditableGraph, product: Node): boolean =>
  !product.inputs.some((name) => graph.constant(name));

/** The board multiplies by a positive whole number. */
const isFactor = (scale: number): boolean => scale > 0 && Number.isFinite(scale);

function scaleBehind(graph: EditableGraph, node: Node, shapes: Shapes): void {
  const scaled = scaledBy(graph, node, shapes);
  const product = scaled && graph.privateProducer(scaled.input, 'MatMul', node);
  if (!scaled || !product || !ofTwo(graph, product)) return;
  const scale = Number(product.attributes.scale ?? 1) * scaled.factor;
  if (!isFactor(scale)) return;
  graph.remove([product]);
  graph.replace(node, fusedNode(node, 'MatMul', product.inputs, { scale }));
}

function scaleBefore(graph: EditableGraph, product: Node, shapes: Shapes): void {
  if (!ofTwo(graph, product)) return;
  let scale = Number(product.attributes.scale ?? 1);
  const inputs = product.inputs.map((name) => {
    const before = graph.onlyConsumer(name) === product ? graph.producer(name) : undefined;
    const scaled = scaledBy(graph, before, shapes);
    if (!scaled || graph.constant(scaled.input) || !isFactor(scale * scaled.factor)) return name;
    scale *= scaled.factor;
    return scaled.input;
  });
  if (inputs.every((name, i) => name === product.inputs[i])) return;
  graph.replace(product, fusedNode(product, 'MatMul', inputs, { scale }));
}

/** Whether a node is a product by constant weights that a pass has made. */
export const isLinear = (node: Node | undefined): node is Node =>
  node?.op === 'Linear' && node.domain === fusedDomain;
