import { numbers } from '../../agreement/onnxruntime.js';
import type { Draft, NodeDraft } from './draft.js';
import type { Attributes } from './model.js';

/** Functions of one value, of two and of several; operands are tensors, constants or scalars of any rank. */
const anyDims = (d: Draft): number[] =>
  Array.from({ length: d.int(1, 5) }, () => d.pick([1, 1, 2, 3, 4, 5, 7]));

export const anyValue = (d: Draft): string =>
  d.valueOr(
    () => d.chance(0.9),
    () => anyDims(d),
  );

const float = (name: string, d: Draft, choices: readonly number[], probability = 0.6): Attributes =>
  d.chance(probability) ? { [name]: { float: d.pick(choices) } } : {};

interface Function {
  readonly since: number;
  readonly domain?: 'positive' | 'apart';
  readonly attributes?: (d: Draft) => Attributes;
}

const functions = new Map<string, Function>([
  ['Relu', { since: 7 }],
  ['LeakyRelu', { since: 7, attributes: (d) => float('alpha', d, [0.1, 0.3, -0.2, 0]) }],
  ['Elu', { since: 7, attributes: (d) => float('alpha', d, [0.5, 2]) }],
  [
    'Selu',
    {
      since: 7,
      attributes: (d) => ({ ...float('alpha', d, [1, 2], 0.3), ...float('gamma', d, [1, 0.5], 0.3) }),
    },
  ],
  ['Celu', { since: 12, attributes: (d) => float('alpha', d, [0.5, 2]) }],
  ['ThresholdedRelu', { since: 10, attributes: (d) => float('alpha', d, [0.5, 0.1]) }],
  [
    'HardSigmoid',
    {
      since: 7,
      attributes: (d) => ({ ...float('alpha', d, [0.3, 1 / 6]), ...float('beta', d, [0.4, 0.5]) }),
    },
  ],
  ['HardSwish', { since: 14 }],
  ['Mish', { since: 18 }],
  [
    'Gelu',
    {
      since: 20,
      attributes: (d) => (d.chance(0.6) ? { approximate: { text: d.pick(['tanh', 'none']) } } : {}),
    },
  ],
  ['Sigmoid', { since: 7 }],
  ['Tanh', { since: 7 }],
  ['Erf', { since: 9 }],
  ['Exp', { since: 7 }],
  ['Log', { since: 7, domain: 'positive' }],
  ['Sqrt', { since: 7, domain: 'positive' }],
  ['Reciprocal', { since: 7, domain: 'apart' }],
  ['Abs', { since: 7 }],
  ['Neg', { since: 7 }],
  ['Floor', { since: 7 }],
  ['Ceil', { since: 7 }],
  ['Round', { since: 11 }],
  ['Sign', { since: 9 }],
  ['Softplus', { since: 7 }],
  ['Softsign', { since: 7 }],
  ['Sin', { since: 7 }],
  ['Cos', { since: 7 }],
  ['Atan', { since: 7 }],
  ['Shrink', { since: 9, attributes: (d) => ({ ...float('lambd', d, [0.3]), ...float('bias', d, [0.2]) }) }],
]);

const unary = (d: Draft): NodeDraft[] => {
  const op = d.pick([...functions].filter(([, { since }]) => since <= d.opset).map(([name]) => name));
  const { domain, attributes } = functions.get(op) as Function;
  const x = anyValue(d);
  const given = d.values.get(x);
  const least = given ? numbers(given).reduce((a, b) => Math.min(a, b), Infinity) : -1;
  if (domain && least < 0.2) {
    // Away from where the function has no value or a steep one.
    const square = d.node('Abs', [x]);
    const apart = d.node('Add', [square.outputs[0] as string, d.scalar(0.5)]);
    return [square, apart, d.node(op, [apart.outputs[0] as string], attributes?.(d))];
  }
  return [d.node(op, [x], attributes?.(d))];
};

/** Dimensions that broadcast against these, one way or both ways. */
function broadcastable(d: Draft, dims: readonly number[]): number[] {
  const kept = dims.slice(d.int(0, dims.length)).map((size) => (d.chance(0.35) ? 1 : size));
  return d.chance(0.1) && kept.length === dims.length && dims.length < 5 ? [d.pick([1, 2]), ...kept] : kept;
}

function operand(d: Draft, x: string): string {
  const dims = d.dims(x);
  const how = d.rng.next();
  if (how < 0.15) return d.scalar(d.pick([0.5, 2, -1, 3, 0.1]));
  if (how < 0.45) return d.weight(broadcastable(d, dims), 0.7, x);
  if (how < 0.55) return x;
  if (how < 0.65) return d.input(broadcastable(d, dims));
  return (
    d.value(
      (other) =>
        other.length > 0 &&
        other.every((size, i) => {
          const against = dims[dims.length - other.length + i] ?? 1;
          return size === against || size === 1 || against === 1;
        }),
    ) ?? d.weight(broadcastable(d, dims), 0.7, x)
  );
}

const binary = (d: Draft): NodeDraft[] => {
  const x = anyValue(d);
  const op = d.pick(['Add', 'Sub', 'Mul', 'Add', 'Mul', 'Div', 'Pow']);
  if (op === 'Pow') return [d.node('Pow', [x, d.scalar(d.pick([2, 2, 3, 1]))])];
  const other = operand(d, x);
  if (op === 'Div') {
    const size = d.node('Abs', [other]);
    const apart = d.node('Add', [size.outputs[0] as string, d.scalar(0.7)]);
    return [size, apart, d.node('Div', [x, apart.outputs[0] as string])];
  }
  return [d.node(op, d.chance(0.3) ? [other, x] : [x, other])];
};

const variadic = (d: Draft): NodeDraft[] => {
  const x = anyValue(d);
  const others = Array.from({ length: d.int(0, 3) }, () => operand(d, x));
  return [d.node(d.pick(['Max', 'Min', 'Sum', 'Mean']), d.chance(0.5) ? [x, ...others] : [...others, x])];
};

const prelu = (d: Draft): NodeDraft[] => {
  const x = anyValue(d);
  const dims = d.dims(x);
  const channelwise = dims.length >= 2 ? [dims[1] as number, ...dims.slice(2).map(() => 1)] : [1];
  // onnxruntime lets the input grow to a slope of more axes.
  const more = [...dims.map(() => 1), 1];
  const slope = d.pick([channelwise, channelwise, [1], more, dims.slice(d.int(0, dims.length - 1))]);
  return [d.node('PRelu', [x, d.weight(slope, 0.4, x)])];
};

const clip = (d: Draft): NodeDraft[] => {
  const x = anyValue(d);
  const [low, high] = d.pick([
    [-1, 1],
    [0, 6],
    [-0.5, 2],
    [0.25, 0.75],
    [0, undefined],
    [undefined, 0.5],
    [undefined, undefined],
  ]);
  if (d.opset < 11) {
    const bounds = {
      ...(low !== undefined && { min: { float: low } }),
      ...(high !== undefined && { max: { float: high } }),
    };
    return [d.node('Clip', [x], bounds)];
  }
  const bound = (value: number | undefined): string => (value === undefined ? '' : d.floats([value], []));
  return [d.node('Clip', [x, bound(low), bound(high)])];
};

/** Comparisons and choices: boards may refuse them, hosts may not. */
const where = (d: Draft): NodeDraft[] | undefined => {
  if (d.opset < 9) return undefined;
  const x = anyValue(d);
  const test = d.node(d.pick(['Greater', 'Less']), [x, d.scalar(0.1)]);
  return [test, d.node('Where', [test.outputs[0] as string, x, operand(d, x)])];
};

export const elementwiseMakers = [
  unary,
  unary,
  unary,
  unary,
  binary,
  binary,
  binary,
  variadic,
  variadic,
  prelu,
  clip,
  where,
];
