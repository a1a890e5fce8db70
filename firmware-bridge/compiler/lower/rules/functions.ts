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

/** Functions of one value with their parameters, by operator (ONNX operator specification, opset 7 on). */
export const functions: ReadonlyMap<string, (parameter: Parameter) => Real> = new Map<
  string,
  (parameter: Parameter) => Real
>([
  [
    'LeakyRelu',
    (parameter) => {
      const alpha = parameter('alpha', 0.01);
      return (x) => (x < 0 ? alpha * x : x);
    },
  ],
  [
    'Elu',
    (parameter) => {
      const alpha = parameter('alpha', 1);
      return (x) => (x < 0 ? alpha * Math.expm1(x) : x);
    },
  ],
  [
    'HardSigmoid',
    (parameter) => {
      const [alpha, beta] = [parameter('alpha', 0.2), parameter('beta', 0.5)];
      return (x) => Math.min(1, Math.max(0, alpha * x + beta));
    },
  ],
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
