import { type Rules, rule, type Step } from '../step.js';

const unary =
  (op: string, attributes: Readonly<Record<string, number>> = {}) =>
  (step: Step): void =>
    step.give(step.emit(op, [step.float(0)], attributes));

/** One of the activations that operators also carry with them. */
const fused = (code: number) => (step: Step) => step.give(step.float(0), { activation: code });

function clip(step: Step, low: number, high: number): void {
  const { conversion } = step;
  step.give(step.emit('Clip', [step.float(0), conversion.scalar(low), conversion.scalar(high)]));
}

function leakyRelu(step: Step): void {
  const alpha = step.option((table) => table.float(0), 0);
  step.give(step.emit('LeakyRelu', [step.float(0)], { alpha }));
}

function prelu(step: Step): void {
  const [x, slope] = [step.float(0), step.float(1)];
  const [dims, slopes] = [step.dimsOf(x), step.dimsOf(slope)];
  const fits = slopes.every((size, i) => {
    const at = i + dims.length - slopes.length;
    return at >= 0 && (size === 1 || size === dims[at]);
  });
  if (!fits) step.refuse(`slopes [${slopes}] that widen the input [${dims}] are not supported`);
  step.give(step.emit('PRelu', [x, slope]));
}

/** x/2 (1 + erf(x / sqrt 2)), or with tanh (Hendrycks and Gimpel, arXiv 1606.08415). */
function gelu(step: Step): void {
  const x = step.float(0);
  const number = (value: number): string => step.conversion.scalar(value);
  const half = step.emit('Mul', [x, number(0.5)]);
  const inner = step.boolOption(0)
    ? tanhOf(step, x)
    : step.emit('Erf', [step.emit('Mul', [x, number(Math.SQRT1_2)])]);
  step.give(step.emit('Mul', [half, step.emit('Add', [inner, number(1)])]));
}

function tanhOf(step: Step, x: string): string {
  const number = (value: number): string => step.conversion.scalar(value);
  const cube = step.emit('Mul', [step.emit('Mul', [x, x]), x]);
  const sum = step.emit('Add', [x, step.emit('Mul', [cube, number(0.044715)])]);
  return step.emit('Tanh', [step.emit('Mul', [sum, number(Math.sqrt(2 / Math.PI))])]);
}

function softmax(step: Step): void {
  const beta = step.option((table) => table.float(0), 0);
  const x = step.float(0);
  if (step.dimsOf(x).length === 0) step.refuse('an input of rank 0 is not supported');
  const scaled = beta === 1 ? x : step.emit('Mul', [x, step.conversion.scalar(beta)]);
  step.give(step.emit('Softmax', [scaled], { axis: -1 }));
}

/** By the length of each vector along the last axis, at least 1e-6 as in TensorFlow Lite. */
function l2Normalisation(step: Step): void {
  const x = step.float(0);
  const axis = step.dimsOf(x).length - 1;
  if (axis < 0) step.refuse('an input of rank 0 is not supported');
  const sum = step.reduce('ReduceSum', step.emit('Mul', [x, x]), [axis], true);
  const length = step.emit('Max', [step.emit('Sqrt', [sum]), step.conversion.scalar(1e-6)]);
  step.give(step.emit('Div', [x, length]), { activation: step.byteOption(0) });
}

export const activationRules: Rules = {
  RELU: rule('none', 0, 3, [1, 1], fused(1)),
  RELU_N1_TO_1: rule('none', 0, 1, [1, 1], fused(2)),
  RELU6: rule('none', 0, 3, [1, 1], fused(3)),
  RELU_0_TO_1: rule('none', 0, 1, [1, 1], (step) => clip(step, 0, 1)),
  LEAKY_RELU: rule('LeakyRelu', 1, 2, [1, 1], leakyRelu),
  PRELU: rule('none', 0, 1, [2, 2], prelu),
  ELU: rule('none', 0, 1, [1, 1], unary('Elu')),
  GELU: rule('Gelu', 1, 2, [1, 1], gelu),
  LOGISTIC: rule('none', 0, 3, [1, 1], unary('Sigmoid')),
  TANH: rule('none', 0, 3, [1, 1], unary('Tanh')),
  HARD_SWISH: rule('HardSwish', 0, 1, [1, 1], unary('HardSwish')),
  SOFTMAX: rule('Softmax', 1, 3, [1, 1], softmax),
  LOG_SOFTMAX: rule('LogSoftmax', 0, 2, [1, 1], unary('LogSoftmax', { axis: -1 })),
  L2_NORMALIZATION: rule('L2Norm', 1, 2, [1, 1], l2Normalisation),
};
