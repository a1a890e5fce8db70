import type { Node } from '../../../daemon/network/graph.js';
import { clampOf } from '../passes/fuse-clamps.js';
import { activations } from '../quantise/lookup-table.js';
import { unsupported } from '../unsupported.js';
import { clampAttributes } from './rules/clamp-attributes.js';
import { functions } from './rules/functions.js';

export type Real = (x: number) => number;

/** A node that computes a function of one value, element by element: a table of 256 answers on a board. */
export interface TableFunction {
  /** The input that it is a function of. */
  readonly input: number;
  readonly f: Real;
}

/** The constants of a graph. */
export interface Constants {
  isConstant(name: string | undefined): boolean;
  floats(name: string | undefined): Float32Array | undefined;
  numbers(name: string | undefined): readonly number[] | undefined;
}

type Combine = (a: number, b: number) => number;
const combine: ReadonlyMap<string, Combine> = new Map<string, Combine>([
  ['Add', (a, b) => a + b],
  ['Sub', (a, b) => a - b],
  ['Mul', (a, b) => a * b],
  ['Div', (a, b) => a / b],
  ['Pow', (a, b) => a ** b],
]);

/** The function that a node computes of one of its inputs; undefined where it is none. Throws OPERATOR_UNSUPPORTED. */
export function tableFunction(node: Node, constants: Constants): TableFunction | undefined {
  const { op } = node;
  if (combine.has(op)) return withScalar(node, constants);
  if (op === 'PRelu') {
    const slope = constants.floats(node.inputs[1]);
    const one = slope?.[0];
    if (!slope || one === undefined || !slope.every((value) => value === one)) return undefined;
    return { input: 0, f: (x) => (x < 0 ? one * x : x) };
  }
  const f = op === 'Clip' ? clip(node, constants) : activation(node);
  return f && { input: 0, f };
}

/** Add, Sub, Mul, Div and Pow of a value and a constant scalar, within the limits that `fuseClamps` left. */
function withScalar(node: Node, constants: Constants): TableFunction | undefined {
  const f = combine.get(node.op) as Combine;
  const at = constants.isConstant(node.inputs[0]) ? 1 : 0;
  const constant = constants.floats(node.inputs[1 - at]);
  if (constant?.length !== 1) return undefined;
  const c = constant[0] as number;
  const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = clampAttributes(node);
  return { input: at, f: (x) => Math.min(max, Math.max(min, at === 0 ? f(x, c) : f(c, x))) };
}

function clip(node: Node, constants: Constants): Real {
  const scalar = (name: string | undefined): number | undefined => {
    const values = constants.numbers(name);
    return values?.length === 1 ? values[0] : undefined;
  };
  const limits = clampOf({ scalar }, node);
  if (!limits) throw unsupported(node, 'it needs constant limits');
  const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = limits;
  return (x) => Math.min(max, Math.max(min, x));
}

function activation(node: Node): Real | undefined {
  const { attributes, op } = node;
  const number = (name: string, fallback: number): number => {
    const value = Object.hasOwn(attributes, name) ? attributes[name] : undefined;
    return typeof value === 'number' ? value : fallback;
  };
  const approximate = attributes.approximate ?? 'none';
  if (op === 'Gelu' && approximate !== 'none' && approximate !== 'tanh')
    throw unsupported(node, `its attribute approximate is ${approximate}`);
  // Of the compiler's own domain: ONNX's Swish, from opset 24 on, is refused by name before.
  if (op === 'Swish') {
    const alpha = number('alpha', 1);
    return (x) => x / (1 + Math.exp(-alpha * x));
  }
  const known = activations.get(op === 'Gelu' && approximate === 'tanh' ? 'GeluTanh' : op);
  return known ?? functions.get(op)?.(number);
}
