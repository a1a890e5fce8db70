import { type DType, dtypeByNumber } from '../graph.js';
import { isIntegerType, joined, reshaped, withElements, withMoved } from './elements.js';
import { broadcast, intAttribute, invalid, type Rule, type RuleInput, rules, unsupported } from './rule.js';

/** Operators that compute every element by itself, and their values on constants: exporters compute shapes so. */

/** Same shape and type as the first input, other elements; further inputs are parameters. */
const same: Rule = (input) => {
  const { dtype, dims } = input.shape(0);
  return [{ dtype, dims }];
};

/** Halves go to the even neighbour. */
const roundHalfEven = (x: number): number => {
  const floor = Math.floor(x);
  const rest = x - floor;
  return rest < 0.5 || (rest === 0.5 && floor % 2 === 0) ? floor : floor + 1;
};

/** Only what every runtime computes to the last bit. */
const exactUnary: ReadonlyMap<string, (x: number) => number | undefined> = new Map<
  string,
  (x: number) => number | undefined
>([
  ['Abs', Math.abs],
  ['Neg', (x: number) => -x],
  ['Floor', Math.floor],
  ['Ceil', Math.ceil],
  ['Round', roundHalfEven],
  ['Sign', Math.sign],
  ['Sqrt', Math.sqrt],
  ['Reciprocal', (x: number) => (x === 0 ? undefined : 1 / x)],
  ['Relu', (x: number) => Math.max(x, 0)],
  ['Not', (x: number) => (x ? 0 : 1)],
]);

const unary: Rule = (input) => {
  const compute = exactUnary.get(input.node.op);
  const { dtype, dims } = input.shape(0);
  return [compute ? joined(input, { dtype, dims }, 1, ([x]) => compute(x as number)) : { dtype, dims }];
};

const isTrue: Rule = (input) => [{ dtype: 'bool', dims: input.shape(0).dims }];

/** Bounds are attributes before opset 11 and inputs from then on. */
const clip: Rule = (input) => {
  const { dtype, dims } = input.shape(0);
  const bound = (i: number): number | undefined =>
    input.opset >= 11 && input.has(i) ? input.constant(i)?.[0] : undefined;
  const [low, high] = [bound(1), bound(2)];
  const open =
    input.opset < 11 || (input.has(1) && low === undefined) || (input.has(2) && high === undefined);
  if (open) return [{ dtype, dims }];
  return [
    joined(input, { dtype, dims }, 1, ([x]) =>
      Math.min(Math.max(x as number, low ?? -Infinity), high ?? Infinity),
    ),
  ];
};

const divide =
  (dtype: DType) =>
  (a: number, b: number): number | undefined => {
    // The sign of a zero, which decides between the infinities, is not carried.
    if (b === 0) return undefined;
    return isIntegerType(dtype) ? Math.trunc(a / b) : a / b;
  };

/** `fmod` 1: the sign of the dividend; 0, integers alone: the sign of the divisor. */
const modulo =
  (input: RuleInput) =>
  (a: number, b: number): number | undefined => {
    if (intAttribute(input.node, 'fmod', 0) === 1) return a % b;
    if (!isIntegerType(input.shape(0).dtype) || b === 0) return undefined;
    return a - Math.floor(a / b) * b;
  };

const arithmetic: ReadonlyMap<string, (input: RuleInput) => (a: number, b: number) => number | undefined> =
  new Map([
    ['Add', () => (a: number, b: number) => a + b],
    ['Sub', () => (a: number, b: number) => a - b],
    ['Mul', () => (a: number, b: number) => a * b],
    ['Div', (input: RuleInput) => divide(input.shape(0).dtype)],
    ['Mod', modulo],
    // Powers of floats differ by the library that computes them.
    [
      'Pow',
      (input: RuleInput) => (a: number, b: number) =>
        isIntegerType(input.shape(0).dtype) && b >= 0 ? a ** b : undefined,
    ],
  ]);

/**
 * Common shape of operands. Before operator set `since` shapes are equal, or `broadcast` fits the second to the trailing
 * axes of the first, as broadcasting does since; an `axis` elsewhere is refused.
 */
function commonDims(input: RuleInput, shapes: readonly (readonly number[])[], since: number): number[] {
  if (input.opset >= since) return broadcast(input, ...shapes);
  const [first = [], second = []] = shapes;
  if (intAttribute(input.node, 'broadcast', 0) === 1) {
    const axis = intAttribute(input.node, 'axis', first.length - second.length);
    if (axis !== first.length - second.length)
      throw unsupported(input, `broadcasting [${second}] to [${first}] along axis ${axis} is not supported`);
    if (broadcast(input, first, second).join() !== first.join())
      throw invalid(input, `[${second}] does not broadcast to [${first}]`);
    return [...first];
  }
  const other = shapes.find((shape) => shape.join() !== first.join());
  if (other) throw invalid(input, `shapes [${first}] and [${other}] differ`);
  return [...first];
}

const binary: Rule = (input) => {
  const [a, b] = [input.shape(0), input.shape(1)];
  const shape = { dtype: a.dtype, dims: commonDims(input, [a.dims, b.dims], 7) };
  const compute = arithmetic.get(input.node.op)?.(input);
  return [compute ? joined(input, shape, 2, ([x, y]) => compute(x as number, y as number)) : shape];
};

const mean = (values: readonly number[]): number | undefined => (values.length === 1 ? values[0] : undefined);

/** One input or many. Sums of floats depend on their order, so only integers are added up. */
const variadic: Rule = (input) => {
  const count = input.node.inputs.length;
  if (count === 0) throw invalid(input, 'needs an input');
  const shapes = Array.from({ length: count }, (_, i) => input.shape(i));
  const [first] = shapes as [(typeof shapes)[0], ...typeof shapes];
  const shape = {
    dtype: first.dtype,
    dims: commonDims(
      input,
      shapes.map(({ dims }) => dims),
      8,
    ),
  };
  const sum = (values: readonly number[]): number | undefined =>
    isIntegerType(first.dtype) || values.length <= 2 ? values.reduce((a, b) => a + b, 0) : undefined;
  const compute = { Max: Math.max, Min: Math.min, Sum: sum, Mean: mean }[
    input.node.op as 'Max' | 'Min' | 'Sum' | 'Mean'
  ];
  return [
    joined(input, shape, count, (values) =>
      compute === Math.max || compute === Math.min ? compute(...values) : compute(values as never),
    ),
  ];
};

const comparing: ReadonlyMap<string, (a: number, b: number) => boolean> = new Map([
  ['Equal', (a: number, b: number) => a === b],
  ['Greater', (a: number, b: number) => a > b],
  ['GreaterOrEqual', (a: number, b: number) => a >= b],
  ['Less', (a: number, b: number) => a < b],
  ['LessOrEqual', (a: number, b: number) => a <= b],
  ['And', (a: number, b: number) => Boolean(a && b)],
  ['Or', (a: number, b: number) => Boolean(a || b)],
  ['Xor', (a: number, b: number) => Boolean(a) !== Boolean(b)],
]);

const comparison: Rule = (input) => {
  const compute = comparing.get(input.node.op);
  const dims = commonDims(input, [input.shape(0).dims, input.shape(1).dims], 7);
  return [
    joined(input, { dtype: 'bool', dims }, 2, ([a, b]) => (compute?.(a as number, b as number) ? 1 : 0)),
  ];
};

const where: Rule = (input) => {
  const dims = broadcast(input, input.shape(0).dims, input.shape(1).dims, input.shape(2).dims);
  return [
    joined(input, { dtype: input.shape(1).dtype, dims }, 3, ([condition, yes, no]) => (condition ? yes : no)),
  ];
};

/**
 * Before opset 7 the slope is one number, or one a channel. From then on ONNX broadcasts it to the input; onnxruntime lets
 * either grow to the other.
 */
const prelu: Rule = (input) => {
  const { dtype, dims } = input.shape(0);
  const slope = input.shape(1).dims;
  if (input.opset >= 7) return [{ dtype, dims: broadcast(input, dims, slope) }];
  if (slope.length > 1 || ![1, dims[1] ?? 1].includes(slope[0] ?? 1))
    throw invalid(input, `the slope [${slope}] does not fit [${dims}]`);
  return [{ dtype, dims }];
};

const identity: Rule = (input) => [reshaped(input, 0, input.shape(0).dims)];

/** The elements in another type; undefined where the conversion is the runtime's choice. */
function converted(
  values: readonly number[] | undefined,
  from: DType,
  to: DType,
): (number | undefined)[] | undefined {
  return values?.map((value) => {
    if (isIntegerType(from) && !Number.isSafeInteger(value)) return undefined;
    if (to === 'bool') return value === 0 ? 0 : 1;
    return isIntegerType(to) ? Math.trunc(value) : value;
  });
}

const castTo = (input: RuleInput, dtype: DType): ReturnType<Rule> => {
  const { dtype: from, dims } = input.shape(0);
  if (from === dtype) return [withMoved({ dtype, dims }, input.constant(0))];
  return [withElements({ dtype, dims }, converted(input.constant(0), from, dtype))];
};

/** The type that an attribute names by its number in TensorProto. */
export function typeAttribute(input: RuleInput, name: string, fallback?: DType): DType {
  const number = intAttribute(input.node, name, 0);
  const dtype = number === 0 ? fallback : dtypeByNumber.get(number);
  if (!dtype)
    throw unsupported(input, `the attribute ${name} names the type ${number}, which is not supported`);
  return dtype;
}

const cast: Rule = (input) => castTo(input, typeAttribute(input, 'to'));
const castLike: Rule = (input) => castTo(input, input.shape(1).dtype);
const bitCast: Rule = (input) => [{ dtype: typeAttribute(input, 'to'), dims: input.shape(0).dims }];

/** The mask has the input's type before opset 10 and is bool from then on. Outside training nothing changes. */
const dropout: Rule = (input) => {
  const { dtype, dims } = input.shape(0);
  const training = input.opset >= 12 && input.has(2) ? input.constant(2)?.[0] !== 0 : false;
  const mask: DType = input.opset < 10 ? dtype : 'bool';
  return [training ? { dtype, dims } : reshaped(input, 0, dims), { dtype: mask, dims }];
};

export const elementwiseRules = [
  ...rules(1, 'Abs Ceil Exp Floor Log Neg Reciprocal Relu Sigmoid Sqrt Tanh Not', unary),
  ...rules(1, 'Elu HardSigmoid LeakyRelu Selu Softplus Softsign ThresholdedRelu', same),
  ...rules(7, 'Acos Asin Atan Cos Sin Tan', same),
  ...rules(9, 'Acosh Asinh Atanh Cosh Erf Shrink Sinh', same),
  ...rules(9, 'Sign', unary),
  ...rules(11, 'Round', unary),
  ...rules(12, 'Celu', same),
  ...rules(14, 'HardSwish', same),
  ...rules(18, 'Mish BitwiseNot', same),
  ...rules(20, 'Gelu', same),
  ...rules(24, 'Swish', same),
  ...rules(28, 'SwiGLU', same),
  ...rules(9, 'IsNaN', isTrue),
  ...rules(10, 'IsInf', isTrue),
  ...rules(20, 'RegexFullMatch', isTrue),
  ...rules(1, 'Clip', clip),
  ...rules(1, 'Add Sub Mul Div Pow', binary),
  ...rules(10, 'Mod', binary),
  ...rules(11, 'BitShift', binary),
  ...rules(18, 'BitwiseAnd BitwiseOr BitwiseXor', binary),
  ...rules(20, 'StringConcat', binary),
  ...rules(1, 'Max Min Sum Mean', variadic),
  ...rules(1, 'And Equal Greater Less Or Xor', comparison),
  ...rules(12, 'GreaterOrEqual LessOrEqual', comparison),
  ...rules(9, 'Where', where),
  ...rules(1, 'PRelu', prelu),
  ...rules(1, 'Identity', identity),
  ...rules(6, 'Cast', cast),
  ...rules(15, 'CastLike', castLike),
  ...rules(26, 'BitCast', bitCast),
  ...rules(1, 'Dropout', dropout),
];
