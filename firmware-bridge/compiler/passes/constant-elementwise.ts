import type { DType } from '../../../daemon/network/graph.js';
import { broadcastIndex } from './broadcast.js';
import { type Constant, elementsFor, isFloating, roundTo } from './constant-values.js';

type Unary = (x: number) => number;
type Binary = (a: number, b: number) => number;

const unary = new Map<string, Unary>([
  ['Sqrt', Math.sqrt],
  ['Reciprocal', (x) => 1 / x],
  ['Neg', (x) => -x],
  ['Exp', Math.exp],
  ['Log', Math.log],
  ['Abs', Math.abs],
  ['Floor', Math.floor],
  ['Ceil', Math.ceil],
  ['Sin', Math.sin],
  ['Cos', Math.cos],
  ['Tanh', Math.tanh],
  ['Sigmoid', (x) => 1 / (1 + Math.exp(-x))],
  ['Relu', (x) => (x < 0 ? 0 : x)],
  ['Sign', Math.sign],
  ['Not', (x) => (x === 0 ? 1 : 0)],
]);

const truth =
  (holds: (a: number, b: number) => boolean): Binary =>
  (a, b) =>
    holds(a, b) ? 1 : 0;

const binary = new Map<string, Binary>([
  ['Add', (a, b) => a + b],
  ['Sub', (a, b) => a - b],
  ['Mul', (a, b) => a * b],
  ['Div', (a, b) => a / b],
  ['Pow', (a, b) => a ** b],
  ['Min', (a, b) => Math.min(a, b)],
  ['Max', (a, b) => Math.max(a, b)],
  ['Sum', (a, b) => a + b],
  ['Equal', truth((a, b) => a === b)],
  ['Greater', truth((a, b) => a > b)],
  ['GreaterOrEqual', truth((a, b) => a >= b)],
  ['Less', truth((a, b) => a < b)],
  ['LessOrEqual', truth((a, b) => a <= b)],
  ['And', truth((a, b) => a !== 0 && b !== 0)],
  ['Or', truth((a, b) => a !== 0 || b !== 0)],
  ['Xor', truth((a, b) => (a !== 0) !== (b !== 0))],
]);

/** What an elementwise operator makes of constants, each step rounded to the type; undefined where it is none. */
export function elementwise(
  op: string,
  inputs: readonly Constant[],
  shape: { readonly dtype: DType; readonly dims: readonly number[] },
): Constant['values'] | undefined {
  const [first, ...others] = inputs as [Constant, ...Constant[]];
  const one = unary.get(op);
  if (one && others.length === 0) return mapped(shape.dtype, first.values, one);
  if (op === 'Where' && others.length === 2) return chosen(inputs, shape);
  const two = binary.get(op);
  if (!two) return undefined;
  // A quotient of whole numbers is cut towards zero; its divisor must be a number.
  const whole = op === 'Div' && !isFloating(shape.dtype);
  const combine: Binary = whole ? (a, b) => Math.trunc(a / b) : two;
  let values = spread(first, shape.dims, shape.dtype);
  for (const other of others) {
    if (whole && other.values.includes(0)) return undefined;
    const at = broadcastIndex(other.dims, shape.dims);
    values = mapped(shape.dtype, values, (a, i) => combine(a, other.values[at(i)] as number));
  }
  return values;
}

function mapped(
  dtype: DType,
  from: Constant['values'],
  f: (value: number, i: number) => number,
): Constant['values'] {
  const values = elementsFor(dtype, from.length);
  for (let i = 0; i < from.length; i++) values[i] = roundTo(dtype, f(from[i] as number, i));
  return values;
}

/** The elements of a constant broadcast to `dims`. A comparison keeps what it compares until then. */
function spread({ dtype, dims, values }: Constant, to: readonly number[], made: DType): Constant['values'] {
  const at = broadcastIndex(dims, to);
  const out = elementsFor(
    made === 'bool' ? dtype : made,
    to.reduce((product, size) => product * size, 1),
  );
  for (let i = 0; i < out.length; i++) out[i] = values[at(i)] as number;
  return out;
}

function chosen(
  inputs: readonly Constant[],
  { dtype, dims }: { readonly dtype: DType; readonly dims: readonly number[] },
): Constant['values'] {
  const [condition, yes, no] = inputs as [Constant, Constant, Constant];
  const [c, y, n] = [condition, yes, no].map((one) => broadcastIndex(one.dims, dims)) as [
    (i: number) => number,
    (i: number) => number,
    (i: number) => number,
  ];
  const values = elementsFor(
    dtype,
    dims.reduce((product, size) => product * size, 1),
  );
  for (let i = 0; i < values.length; i++)
    values[i] = (condition.values[c(i)] === 0 ? no.values[n(i)] : yes.values[y(i)]) as number;
  return values;
}
