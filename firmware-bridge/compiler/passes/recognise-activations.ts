import type { Node } from '../../../daemon/network/graph.js';
import { type EditableGraph, fusedNode } from './editable-graph.js';

const near = (a: number | undefined, b: number): boolean =>
  a !== undefined && Math.abs(a - b) <= 1e-3 * Math.abs(b);

/** A node's operands as (constant scalar, other value), whichever side the constant stands on. */
function scaled(graph: EditableGraph, node: Node | undefined, op: string): [number, string] | undefined {
  if (node?.op !== op) return undefined;
  for (const [i, j] of [
    [0, 1],
    [1, 0],
  ] as const) {
    const constant = graph.scalar(node.inputs[i]);
    if (constant !== undefined && graph.scalar(node.inputs[j]) === undefined)
      return [constant, node.inputs[j] as string];
  }
  return undefined;
}

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

/** x of 1 + erf(x / sqrt 2), or of 1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)). */
function geluArgument(graph: EditableGraph, value: string): string | undefined {
  const sum = scaled(graph, graph.producer(value), 'Add');
  if (!sum || !near(sum[0], 1)) return undefined;
  const bend = graph.producer(sum[1]);
  if (bend?.op === 'Erf') {
    const { constant, values } = factors(graph, bend.inputs[0] as string);
    return near(constant, Math.SQRT1_2) && values.length === 1 ? values[0] : undefined;
  }
  if (bend?.op === 'Tanh') {
    const { constant, values } = factors(graph, bend.inputs[0] as string);
    const cubic = graph.producer(values[0]);
    if (!near(constant, Math.sqrt(2 / Math.PI)) || values.length !== 1 || cubic?.op !== 'Add')
      return undefined;
    return cubic.inputs.find((name) => graph.consumers(name).length > 1);
  }
  return undefined;
}

/** x of clip(x + 3, 0, 6) / 6 or HardSigmoid(x), as the factors of a product beside x itself. */
function hardSigmoidArgument(graph: EditableGraph, value: string): { x: string; share: number } | undefined {
  const node = graph.producer(value);
  if (node?.op === 'HardSigmoid') {
    const alpha = Number(node.attributes.alpha ?? 0.2);
    return near(alpha, 1 / 6) ? { x: node.inputs[0] as string, share: 1 } : undefined;
  }
  if (node?.op !== 'Clip') return undefined;
  const low = graph.scalar(node.inputs[1]) ?? Number(node.attributes.min);
  const high = graph.scalar(node.inputs[2]) ?? Number(node.attributes.max);
  const sum = scaled(graph, graph.producer(node.inputs[0]), 'Add');
  return low === 0 && near(high, 6) && sum && near(sum[0], 3) ? { x: sum[1], share: 6 } : undefined;
}

/**
 * Finds activations that exporters spell out, and puts one node in their place: GELU (Hendrycks and Gimpel 2016) by erf
 * or tanh, hard swish (Howard et al. 2019), swish. What is left unread falls away with the graph's clean-up.
 */
export function recogniseActivations(graph: EditableGraph): void {
  for (const old of graph.nodes) {
    const node = graph.producer(old.outputs[0]);
    if (!node || (node.op !== 'Mul' && node.op !== 'Div')) continue;
    const { constant, values } = factors(graph, node.outputs[0] as string);
    if (values.length !== 2) continue;
    for (const [x, y] of [values, [...values].reverse()] as [string, string][]) {
      const made = recognise(graph, x, y, constant);
      if (!made) continue;
      graph.replace(node, fusedNode(node, made, [x]));
      break;
    }
  }
}

function recognise(graph: EditableGraph, x: string, y: string, constant: number): string | undefined {
  if (geluArgument(graph, y) === x && near(constant, 0.5)) {
    const tanh = graph.producer(scaled(graph, graph.producer(y), 'Add')?.[1])?.op === 'Tanh';
    return tanh ? 'GeluTanh' : 'Gelu';
  }
  const hard = hardSigmoidArgument(graph, y);
  if (hard?.x === x && near(constant * hard.share, 1)) return 'HardSwish';
  const sigmoid = graph.producer(y);
  if (sigmoid?.op === 'Sigmoid' && sigmoid.inputs[0] === x && constant === 1) return 'Swish';
  return undefined;
}
