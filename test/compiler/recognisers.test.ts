import t from 'tap';
import { gaussian, Xoshiro128 } from '../../daemon/core/rng.js';
import { elementCount, floatTensor, type Graph } from '../../daemon/network/graph.js';
import { GraphBuilder } from '../../daemon/network/graph-builder.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';
import { compile } from '../../firmware-bridge/compiler/index.js';
import { prepare } from '../../firmware-bridge/compiler/passes/prepare.js';
import { agreement, board, drawn } from './agreement.js';

const runtime = new SessionProcess();
t.teardown(() => runtime.stop());

interface Pattern {
  readonly dims: readonly number[];
  readonly build: (b: GraphBuilder, x: string) => string;
  /** Operators that are left, where the pattern must be found, or must not be. */
  readonly becomes?: readonly string[];
  readonly not?: string;
}

let constants = 0;
const constant = (b: GraphBuilder, dims: readonly number[], values: readonly number[]): string =>
  b.constant(`constant ${constants++}`, floatTensor(dims, values));
const number = (b: GraphBuilder, value: number, dims: readonly number[] = []): string =>
  constant(b, dims, [value]);
const vector = (b: GraphBuilder, dims: readonly number[], seed = 5): string => {
  const rng = Xoshiro128.fromSeed(seed);
  return constant(
    b,
    dims,
    Array.from({ length: elementCount(dims) }, () => gaussian(rng)),
  );
};

/** Layer normalisation spelt out, each part of which may be another. */
function spelt(
  b: GraphBuilder,
  x: string,
  {
    mean = { axes: [-1], keepdims: 1 },
    variance = { axes: [-1], keepdims: 1 },
    exponent = 2,
    squared = 'centred' as 'centred' | 'x',
  },
): string {
  const centred = b.node('Sub', [x, b.node('ReduceMean', [x], mean)]);
  const squares = b.node('Pow', [squared === 'x' ? x : centred, number(b, exponent)]);
  const deviation = b.node('Sqrt', [b.add(b.node('ReduceMean', [squares], variance), number(b, 0.01))]);
  return b.node('Div', [centred, deviation]);
}

const tanhGelu = (
  b: GraphBuilder,
  x: string,
  cubic: number,
  power = 3,
  outer = Math.sqrt(2 / Math.PI),
): string =>
  b.mul(
    b.mul(
      x,
      b.add(
        b.node('Tanh', [
          b.mul(b.add(x, b.mul(b.node('Pow', [x, number(b, power)]), number(b, cubic))), number(b, outer)),
        ]),
        number(b, 1),
      ),
    ),
    number(b, 0.5),
  );

const hard = (b: GraphBuilder, x: string, shift: number, low: number, high: number, share: number): string =>
  b.node('Div', [b.mul(x, b.clip(b.add(x, number(b, shift)), low, high)), number(b, share)]);

const patterns: Readonly<Record<string, Pattern>> = {
  'layer norm over the last axis': {
    dims: [2, 5, 6],
    build: (b, x) => b.add(b.mul(spelt(b, x, {}), vector(b, [6])), vector(b, [1, 1, 6], 7)),
    becomes: ['LayerNormalization'],
  },
  'with a scale by rows behind it': {
    dims: [1, 6, 6],
    build: (b, x) => b.mul(spelt(b, x, {}), vector(b, [6, 1])),
    becomes: ['LayerNormalization', 'Mul'],
  },
  'with a shift that adds an axis': {
    dims: [3, 6],
    build: (b, x) => b.add(spelt(b, x, {}), vector(b, [1, 1, 6])),
    becomes: ['LayerNormalization', 'Add'],
  },
  'a mean over two axes': {
    dims: [1, 4, 6],
    build: (b, x) =>
      spelt(b, x, { mean: { axes: [1, 2], keepdims: 1 }, variance: { axes: [1, 2], keepdims: 1 } }),
    not: 'LayerNormalization',
  },
  'a mean over another axis': {
    dims: [1, 6, 6],
    build: (b, x) => spelt(b, x, { mean: { axes: [1], keepdims: 1 }, variance: { axes: [1], keepdims: 1 } }),
    not: 'LayerNormalization',
  },
  'a variance over other axes than the mean': {
    dims: [1, 6, 6],
    build: (b, x) => spelt(b, x, { variance: { axes: [-2], keepdims: 1 } }),
    not: 'LayerNormalization',
  },
  'a mean whose axis is dropped': {
    dims: [6, 6],
    build: (b, x) => spelt(b, x, { mean: { axes: [1], keepdims: 0 } }),
    not: 'LayerNormalization',
  },
  'a mean of squares that are not centred': {
    dims: [1, 4, 6],
    build: (b, x) => spelt(b, x, { squared: 'x' }),
    not: 'LayerNormalization',
  },
  'a fourth moment': {
    dims: [1, 4, 6],
    build: (b, x) => spelt(b, x, { exponent: 4 }),
    not: 'LayerNormalization',
  },
  'GELU by erf': {
    dims: [1, 40],
    build: (b, x) => b.gelu(x),
    becomes: ['Gelu'],
  },
  'GELU by tanh': {
    dims: [1, 40],
    build: (b, x) => tanhGelu(b, x, 0.044715),
    becomes: ['GeluTanh'],
  },
  'another cubic term': {
    dims: [1, 40],
    build: (b, x) => tanhGelu(b, x, 0.3),
    not: 'GeluTanh',
  },
  'a square in the place of the cube': {
    dims: [1, 40],
    build: (b, x) => tanhGelu(b, x, 0.044715, 2),
    not: 'GeluTanh',
  },
  'another factor before tanh': {
    dims: [1, 40],
    build: (b, x) => tanhGelu(b, x, 0.044715, 3, 0.5),
    not: 'GeluTanh',
  },
  'GELU times a constant that adds an axis': {
    dims: [1, 40],
    build: (b, x) => {
      const half = b.mul(x, number(b, 0.5, [1, 1, 1]));
      return b.mul(half, b.add(b.node('Erf', [b.node('Div', [x, number(b, Math.SQRT2)])]), number(b, 1)));
    },
    not: 'Gelu',
  },
  'hard swish': { dims: [1, 40], build: (b, x) => hard(b, x, 3, 0, 6, 6), becomes: ['HardSwish'] },
  'another shift': { dims: [1, 40], build: (b, x) => hard(b, x, 2, 0, 6, 6), not: 'HardSwish' },
  'another top': { dims: [1, 40], build: (b, x) => hard(b, x, 3, 0, 5, 6), not: 'HardSwish' },
  'another bottom': { dims: [1, 40], build: (b, x) => hard(b, x, 3, 1, 6, 6), not: 'HardSwish' },
  'another share': { dims: [1, 40], build: (b, x) => hard(b, x, 3, 0, 6, 5), not: 'HardSwish' },
  'x times its hard sigmoid': {
    dims: [1, 40],
    build: (b, x) => b.mul(x, b.node('HardSigmoid', [x], { alpha: 1 / 6, beta: 0.5 })),
    becomes: ['HardSwish'],
  },
  'another beta': {
    dims: [1, 40],
    build: (b, x) => b.mul(x, b.node('HardSigmoid', [x], { alpha: 1 / 6, beta: 0.25 })),
    not: 'HardSwish',
  },
  'the default alpha': {
    dims: [1, 40],
    build: (b, x) => b.mul(x, b.node('HardSigmoid', [x])),
    not: 'HardSwish',
  },
  swish: { dims: [1, 40], build: (b, x) => b.mul(x, b.node('Sigmoid', [x])), becomes: ['Swish'] },
  'swish of twice x': {
    dims: [1, 40],
    build: (b, x) => b.mul(x, b.node('Sigmoid', [b.mul(x, number(b, 2))])),
    becomes: ['Swish'],
  },
  'swish of x times one': {
    dims: [1, 40],
    build: (b, x) => b.mul(x, b.node('Sigmoid', [b.mul(x, number(b, 1))])),
    becomes: ['Swish'],
  },
  'a sigmoid of a shifted x': {
    dims: [1, 40],
    build: (b, x) => b.mul(x, b.node('Sigmoid', [b.add(x, number(b, 1))])),
    not: 'Swish',
  },
  'a sigmoid of no x': {
    dims: [1, 40],
    build: (b, x) => b.mul(x, b.node('Sigmoid', [b.mul(x, number(b, 0))])),
    not: 'Swish',
  },
  'a constant by channel behind a sequence': {
    dims: [1, 3, 8],
    build: (b, x) => b.mul(b.node('Conv', [x, vector(b, [4, 3, 3])]), vector(b, [4, 1], 9)),
    becomes: ['Conv'],
  },
  'a constant along the line behind a sequence': {
    dims: [1, 3, 6],
    build: (b, x) => b.mul(b.node('Conv', [x, vector(b, [4, 3, 3])]), vector(b, [4], 9)),
    becomes: ['Conv', 'Mul'],
  },
  'a constant by lines behind an image': {
    dims: [1, 2, 6, 6],
    build: (b, x) => b.add(b.conv(x, vector(b, [6, 2, 3, 3])), vector(b, [1, 1, 6, 1], 9)),
    becomes: ['Conv', 'Add'],
  },
  'difference and quotient by channel behind an image': {
    dims: [1, 2, 6, 6],
    build: (b, x) =>
      b.node('Div', [
        b.node('Sub', [b.conv(x, vector(b, [6, 2, 3, 3])), vector(b, [6, 1, 1], 9)]),
        vector(b, [1, 6, 1, 1], 4),
      ]),
    becomes: ['Conv'],
  },
  'a constant minus an image': {
    dims: [1, 2, 6, 6],
    build: (b, x) => b.node('Sub', [vector(b, [6, 1, 1], 9), b.conv(x, vector(b, [6, 2, 3, 3]))]),
    becomes: ['Conv'],
  },
  'a sum by rows behind a product': {
    dims: [5, 6],
    build: (b, x) => b.add(b.matMul(x, vector(b, [6, 5])), vector(b, [5, 1], 9)),
    becomes: ['Linear', 'Add'],
  },
  'a sum that adds an axis behind a product': {
    dims: [5, 6],
    build: (b, x) => b.add(b.matMul(x, vector(b, [6, 5])), vector(b, [1, 1, 5], 9)),
    becomes: ['Linear', 'Add'],
  },
  'a factor behind a product by a constant': {
    dims: [5, 6],
    build: (b, x) => b.mul(b.matMul(x, vector(b, [6, 5])), number(b, -0.25)),
    becomes: ['Linear'],
  },
  'a negative factor behind a product of two': {
    dims: [5, 6],
    build: (b, x) => b.mul(b.matMul(x, b.transpose(x, [1, 0])), number(b, -0.25)),
    becomes: ['Transpose', 'MatMul', 'Mul'],
  },
  'a constant matrix of three axes': {
    dims: [2, 5, 6],
    build: (b, x) => b.matMul(x, vector(b, [1, 6, 4])),
    becomes: ['Linear'],
  },
  'limits the wrong way round': {
    dims: [1, 40],
    build: (b, x) => b.clip(b.matMul(x, vector(b, [40, 8])), 0.5, -0.25),
    becomes: ['Linear'],
  },
  'zeros before a dilated maximum': {
    dims: [1, 2, 7, 7],
    build: (b, x) =>
      b.node('MaxPool', [b.node('Pad', [b.relu(x), b.ints([0, 0, 1, 1, 0, 0, 1, 1])])], {
        kernel_shape: [2, 2],
        dilations: [3, 3],
      }),
    becomes: ['Relu', 'Pad', 'MaxPool'],
  },
  ...Object.fromEntries(
    ([[4], [1, 4], [1], [1, 1], [], [5, 1], [5, 4]] as const).flatMap((dims) =>
      [0, 1].map((trans): [string, Pattern] => [
        `Gemm plus [${dims}], ${trans ? 'transposed' : 'as it is'}`,
        {
          dims: trans ? [6, 5] : [5, 6],
          build: (b, x) =>
            b.node('Gemm', [x, vector(b, trans ? [4, 6] : [6, 4]), vector(b, dims, 9)], {
              transA: trans,
              transB: trans,
              alpha: 0.5,
              beta: -2,
            }),
        },
      ]),
    ),
  ),
};

t.test('a pattern is replaced where all of it is there, and computes the same either way', async (t) => {
  for (const [name, { dims, build, becomes, not }] of Object.entries(patterns)) {
    const b = new GraphBuilder({ name: 'pattern', opset: 13 });
    b.output(build(b, b.input('x', 'float32', dims)), 'y');
    const graph = b.build();
    const ops = prepare(graph, { cost: { perMac: 1, perOutput: 0 }, lowRank: 'never' }).graph.nodes.map(
      (node) => node.op,
    );
    if (becomes) t.same(ops, becomes, name);
    if (not) t.notOk(ops.includes(not), `${name}: ${ops}`);
    const draw = (seed: number) => drawn(graph, Xoshiro128.fromSeed(seed), (rng) => 2 * gaussian(rng));
    const { cosine, steps } = await agreement(name, graph, [1, 2, 3, 4].map(draw), runtime);
    t.ok(cosine > 0.995, `${name}: cosine ${cosine}, ${steps} steps`);
  }
});

t.test('what is no inference is refused by name', async (t) => {
  const build = (opset: number, make: (b: GraphBuilder, x: string) => string): Graph => {
    const b = new GraphBuilder({ name: 'odd', opset });
    b.output(make(b, b.input('x', 'float32', [1, 4, 6, 6])), 'y');
    return b.build();
  };
  const four = (b: GraphBuilder): string[] =>
    [1, 2, 3, 4].map((i) => b.constant(`c${i}`, floatTensor([4], [1, 2, 3, 4])));
  const bool = (b: GraphBuilder, value: number): string =>
    b.constant('training', { dtype: 'bool', dims: [], data: Uint8Array.of(value) });
  const cases: readonly (readonly [string, Graph, RegExp])[] = [
    [
      'statistics of the batch',
      build(15, (b, x) => b.node('BatchNormalization', [x, ...four(b)], { training_mode: 1 })),
      /BatchNormalization/,
    ],
    [
      'statistics by element',
      build(8, (b, x) => b.node('BatchNormalization', [x, ...four(b)], { spatial: 0 })),
      /BatchNormalization/,
    ],
    [
      'dropout in training',
      build(13, (b, x) => b.node('Dropout', [b.relu(x), b.scalar(0.5), bool(b, 1)])),
      /Dropout/,
    ],
    [
      'an attribute that nothing reads',
      build(13, (b, x) => b.node('Relu', [x], { negative_slope: 0.5 })),
      /its attribute negative_slope is not known \(opset 13\)/,
    ],
    [
      'limits that are computed',
      build(13, (b, x) =>
        b.node('Clip', [b.conv(x, vector(b, [4, 4, 3, 3])), b.node('ReduceMean', [x], { keepdims: 0 })]),
      ),
      /it needs constant limits/,
    ],
  ];
  for (const [name, graph, message] of cases)
    await t.rejects(
      compile(graph, { board, weights: 'real' }),
      {
        code: 'OPERATOR_UNSUPPORTED',
        message,
      },
      name,
    );
  const kept = build(13, (b, x) => b.node('Dropout', [b.relu(x), b.scalar(0.5), bool(b, 0)]));
  const { steps } = await agreement('kept', kept, [drawn(kept, Xoshiro128.fromSeed(1))], runtime);
  t.ok(steps < 1);
});
