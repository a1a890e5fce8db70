import type { Node } from '../../../daemon/network/graph.js';
import { type EditableGraph, fusedNode } from './editable-graph.js';
import type { Shapes } from './fold-constants.js';
import { clampOf } from './fuse-clamps.js';
import { isPolynomial, near, polynomialOf } from './polynomial.js';

/** The factors of a product of several values and constants, constants multiplied up. */
function factors(graph: EditableGraph, value: string, depth = 0): { constant: number; values: string[] } {
  const node = graph.producer(value);
  const shared = depth > 0 && graph.consumers(value).length > 1;
  if (!node || shared || (node.op !== 'Mul' && node.op !== 'Div')) return { constant: 1, values: [value] };
  const [left, right] = node.inputs as [string, string];
  if (node.op === 'Div') {
    const divisor = graph.scalar(right);
    if (divisor === undefined) return { constant: 1, values: [value] };
    const up = factors(graph, left, depth + 1);
    return { constant: up.constant / divisor, values: up.values };
  }
  return [left, right]
    .map((name) => {
      const constant = graph.scalar(name);
      return constant === undefined ? factors(graph, name, depth + 1) : { constant, values: [] };
    })
    .reduce((a, b) => ({ constant: a.constant * b.constant, values: [...a.values, ...b.values] }));
}

const tanhFactor = Math.sqrt(2 / Math.PI);

/** Which GELU has 1 + erf(x / sqrt 2), or 1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)), as a factor beside x / 2. */
function geluBend(graph: EditableGraph, value: string, x: string): 'Gelu' | 'GeluTanh' | undefined {
  const sum = graph.producer(value);
  if (sum?.op !== 'Add') return undefined;
  const at = sum.inputs.findIndex((name) => graph.scalar(name) === 1);
  const bend = at < 0 ? undefined : graph.producer(sum.inputs[1 - at]);
  const argument = bend?.inputs[0];
  if (bend?.op === 'Erf' && isPolynomial(polynomialOf(graph, argument, x), { 1: Math.SQRT1_2 }))
    return 'Gelu';
  const tanh = { 1: tanhFactor, 3: tanhFactor * 0.044715 };
  return bend?.op === 'Tanh' && isPolynomial(polynomialOf(graph, argument, x), tanh) ? 'GeluTanh' : undefined;
}

/** How many times hard swish's factor a value is: clip(x + 3, 0, 6) six times, HardSigmoid(x, 1/6, 1/2) once. */
function hardSigmoidShare(graph: EditableGraph, value: string, x: string): number | undefined {
  const node = graph.producer(value);
  if (node?.op === 'HardSigmoid') {
    const [alpha, beta] = [Number(node.attributes.alpha ?? 0.2), Number(node.attributes.beta ?? 0.5)];
    return node.inputs[0] === x && near(alpha, 1 / 6) && near(beta, 0.5) ? 1 : undefined;
  }
  if (node?.op !== 'Clip') return undefined;
  const limits = clampOf(graph, node);
  if (limits?.min !== 0 || !near(limits.max, 6)) return undefined;
  return isPolynomial(polynomialOf(graph, node.inputs[0], x), { 0: 3, 1: 1 }) ? 6 : undefined;
}

/**
 * Finds activations that exporters spell out, and puts one node in their place: GELU (Hendrycks and Gimpel 2016) by erf
 * or tanh, hard swish (Howard et al. 2019), swish with any factor. What is left unread falls away with the graph's clean-up.
 */
export function recogniseActivations(graph: EditableGraph, shapes: Shapes): void {
  for (const old of graph.nodes) {
    const node = graph.producer(old.outputs[0]);
    if (!node || (node.op !== 'Mul' && node.op !== 'Div')) continue;
    const { constant, values } = factors(graph, node.outputs[0] as string);
    if (values.length !== 2) continue;
    for (const [x, y] of [values, [...values].reverse()] as [string, string][]) {
      const made = recognise(graph, x, y, constant);
      // A constant of more axes, or of more elements, would have changed the shape on the way.
      if (!made || !sameShape(shapes, node, x)) continue;
      graph.replace(node, fusedNode(node, made.op, [x], made.attributes));
      break;
    }
  }
}

const sameShape = (shapes: Shapes, node: Node, x: string): boolean =>
  `${shapes.get(node.outputs[0] as string)?.dims}` === `${shapes.get(x)?.dims}`;

interface Recognised {
  readonly op: string;
  readonly attributes?: Readonly<Record<string, number>>;
}

function recognise(graph: EditableGraph, x: string, y: string, constant: number): Recognised | undefined {
  const gelu = near(constant, 0.5) ? geluBend(graph, y, x) : undefined;
  if (gelu) return { op: gelu };
  const share = hardSigmoidShare(graph, y, x);
  if (share !== undefined && near(constant * share, 1)) return { op: 'HardSwish' };
  const alpha = constant === 1 ? swishFactor(graph, y, x) : undefined;
  return alpha === undefined ? undefined : { op: 'Swish', attributes: { alpha } };
}

/** The factor of x in a swish x sigmoid(factor x), which some exporters spell out where it is one (Ramachandran et al. 2017). */
function swishFactor(graph: EditableGraph, value: string, x: string): number | undefined {
  const sigmoid = graph.producer(value);
  if (sigmoid?.op !== 'Sigmoid') return undefined;
  const argument = polynomialOf(graph, sigmoid.inputs[0], x);
  const factor = argument?.get(1);
  return factor !== undefined && isPolynomial(argument, { 1: factor }) ? factor : undefined;
}
