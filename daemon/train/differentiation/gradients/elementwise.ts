import { type GradientInput, gradientOf, inputOf, sumTo, type TrainingRule } from './rule.js';

/** One input, one output of the same shape; `slope` gives what the gradient is multiplied with. */
const unary = (slope: (input: GradientInput) => string): TrainingRule => ({
  gradient: (input) => [input.b.mul(gradientOf(input), slope(input))],
});

const scaled = (input: GradientInput, value: string, factor: number): string =>
  input.b.mul(value, input.b.scalar(factor));

const isIn = (input: GradientInput, i: number): boolean => Boolean(input.node.inputs[i]) && input.wants(i);

/** Gradients of both sides of a broadcasting operator, summed to the sides' shapes. */
function sides(input: GradientInput, left: () => string, right: () => string): (string | undefined)[] {
  const { b } = input;
  return [left, right].map((make, i) =>
    isIn(input, i) ? sumTo(b, make(), b.dimsOf(inputOf(input, i))) : undefined,
  );
}

/** A product with the mask as numbers: onnxruntime's Where takes five times as long. */
const masked = (input: GradientInput, keep: string): string =>
  input.b.mul(gradientOf(input), input.b.node('Cast', [keep], { to: 1 }));

/** Passes the gradient where the output equals the input: clipped elements are constant. */
const clip: TrainingRule = {
  gradient: (input) => [
    masked(input, input.b.node('Equal', [inputOf(input, 0), input.outputs[0] as string])),
  ],
};

const relu: TrainingRule = {
  gradient: (input) => [masked(input, input.b.node('Greater', [inputOf(input, 0), input.b.scalar(0)]))],
};

/** s = sigmoid: s (1 - s). */
const sigmoid = unary(({ b, outputs: [y] }) => b.mul(y as string, b.node('Sub', [b.scalar(1), y as string])));

const tanh = unary(({ b, outputs: [y] }) => b.node('Sub', [b.scalar(1), b.mul(y as string, y as string)]));

/** 2 / sqrt(pi) exp(-x^2). */
const erf = unary((input) => {
  const { b } = input;
  const x = inputOf(input, 0);
  return scaled(input, b.node('Exp', [b.node('Neg', [b.mul(x, x)])]), 2 / Math.sqrt(Math.PI));
});

/** HardSigmoid: clip(alpha x + beta, 0, 1). The slope is alpha strictly inside. */
function hardSigmoidSlope(input: GradientInput, value: string, alpha: number): string {
  const { b } = input;
  const inside = b.node('And', [
    b.node('Greater', [value, b.scalar(0)]),
    b.node('Less', [value, b.scalar(1)]),
  ]);
  return b.node('Where', [inside, b.scalar(alpha), b.scalar(0)]);
}

const hardSigmoid = unary((input) => {
  const { alpha = 0.2 } = input.node.attributes;
  return hardSigmoidSlope(input, input.outputs[0] as string, alpha as number);
});

/** HardSwish: x h(x) with h = clip(x / 6 + 1/2, 0, 1); slope h + x h'. */
const hardSwish = unary((input) => {
  const { b } = input;
  const x = inputOf(input, 0);
  const h = b.node('HardSigmoid', [x], { alpha: 1 / 6, beta: 0.5 });
  return b.add(h, b.mul(x, hardSigmoidSlope(input, h, 1 / 6)));
});

export const elementwiseRules: Readonly<Record<string, TrainingRule>> = {
  Identity: { gradient: (input) => [gradientOf(input)] },
  /** Switched off, as in inference. The output needs a name of its own, or its gradient would count twice. */
  Dropout: {
    forward: ({ b, node }) => ({ outputs: [b.node('Identity', [node.inputs[0] as string])] }),
    gradient: (input) => [gradientOf(input)],
  },
  Add: {
    gradient: (input) =>
      sides(
        input,
        () => gradientOf(input),
        () => gradientOf(input),
      ),
  },
  Sub: {
    gradient: (input) =>
      sides(
        input,
        () => gradientOf(input),
        () => input.b.node('Neg', [gradientOf(input)]),
      ),
  },
  Mul: {
    gradient: (input) =>
      sides(
        input,
        () => input.b.mul(gradientOf(input), inputOf(input, 1)),
        () => input.b.mul(gradientOf(input), inputOf(input, 0)),
      ),
  },
  Div: {
    gradient: (input) => {
      const { b } = input;
      const left = b.node('Div', [gradientOf(input), inputOf(input, 1)]);
      // d(x / y) / dy = -(x / y) / y.
      return sides(
        input,
        () => left,
        () => b.node('Neg', [b.mul(left, input.outputs[0] as string)]),
      );
    },
  },
  Neg: { gradient: (input) => [input.b.node('Neg', [gradientOf(input)])] },
  Clip: clip,
  Relu: relu,
  Sigmoid: sigmoid,
  Tanh: tanh,
  Erf: erf,
  Exp: unary(({ outputs: [y] }) => y as string),
  Sqrt: {
    gradient: (input) => [
      input.b.node('Div', [scaled(input, gradientOf(input), 0.5), input.outputs[0] as string]),
    ],
  },
  HardSigmoid: hardSigmoid,
  HardSwish: hardSwish,
};
