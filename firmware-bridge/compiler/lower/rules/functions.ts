import type { LoweringRule } from '../lowering.js';
import { unsupported } from '../lowering.js';
import { lookup } from './unary.js';

type Real = (x: number) => number;
/** A float attribute of the node, or the default that the ONNX operator specification gives it. */
type Parameter = (name: string, fallback: number) => number;

/** Halves go to the even neighbour (ONNX operator specification, Round). */
const roundHalfToEven: Real = (x) => {
  const down = Math.floor(x);
  const rest = x - down;
  return rest < 0.5 || (rest === 0.5 && down % 2 === 0) ? down : down + 1;
};

/** log(1 + exp x) where exp x itself would not fit. */
const softplus: Real = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

/** Functions of one value by operator (ONNX operator specification, opset 7 on). */
const functions: ReadonlyMap<string, (parameter: Parameter) => Real> = new Map<
  string,
  (parameter: Parameter) => Real
>([
  ['Log', () => Math.log],
  ['Reciprocal', () => (x) => 1 / x],
  ['Floor', () => Math.floor],
  ['Ceil', () => Math.ceil],
  ['Round', () => roundHalfToEven],
  ['Sign', () => Math.sign],
  ['Softsign', () => (x) => x / (1 + Math.abs(x))],
  ['Mish', () => (x) => x * Math.tanh(softplus(x))],
  ['Sin', () => Math.sin],
  ['Cos', () => Math.cos],
  ['Tan', () => Math.tan],
  ['Asin', () => Math.asin],
  ['Acos', () => Math.acos],
  ['Atan', () => Math.atan],
  ['Sinh', () => Math.sinh],
  ['Cosh', () => Math.cosh],
  ['Asinh', () => Math.asinh],
  ['Acosh', () => Math.acosh],
  ['Atanh', () => Math.atanh],
  [
    'Selu',
    (parameter) => {
      const alpha = parameter('alpha', 1.6732632423543772);
      const gamma = parameter('gamma', 1.0507009873554805);
      return (x) => gamma * (x > 0 ? x : alpha * Math.expm1(x));
    },
  ],
  [
    'Celu',
    (parameter) => {
      const alpha = parameter('alpha', 1);
      return (x) => Math.max(0, x) + Math.min(0, alpha * Math.expm1(x / alpha));
    },
  ],
  [
    'ThresholdedRelu',
    (parameter) => {
      const alpha = parameter('alpha', 1);
      return (x) => (x > alpha ? x : 0);
    },
  ],
  [
    'Shrink',
    (parameter) => {
      const [bias, lambd] = [parameter('bias', 0), parameter('lambd', 0.5)];
      return (x) => (x < -lambd ? x + bias : x > lambd ? x - bias : 0);
    },
  ],
]);

/** The operators that `unaryFunction` lowers. */
export const functionNames: readonly string[] = [...functions.keys()];

/**
 * A function of one value as a table of 256 answers. Where the function is infinite, the answer is the end of the calibrated
 * range; where it has no value, that of the nearest input that has one.
 */
export const unaryFunction: LoweringRule = (node, lowering) => {
  const make = functions.get(node.op);
  if (!make) throw unsupported(node, 'its function is not known');
  const f = make((name, fallback) => {
    const value = Object.hasOwn(node.attributes, name) ? node.attributes[name] : undefined;
    return typeof value === 'number' ? value : fallback;
  });
  lookup(node, lowering, 0, f);
};
