import t, { type Test } from 'tap';
import { gaussian, type Rng, Xoshiro128 } from '../../daemon/core/rng.js';
import { elementCount, floatTensor, type Graph } from '../../daemon/network/graph.js';
import { GraphBuilder } from '../../daemon/network/graph-builder.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';
import { compile } from '../../firmware-bridge/compiler/index.js';
import { activations } from '../../firmware-bridge/compiler/quantise/lookup-table.js';
import { narrowed } from '../../firmware-bridge/compiler/quantise/narrowed.js';
import { quantisationOf } from '../../firmware-bridge/compiler/quantise/quantisation.js';
import type { ProgramCase } from '../firmware/program-case.js';
import { buildNative, runNative } from '../firmware/runtime-driver.js';
import { type Agreement, agreement, board, drawn } from './agreement.js';

t.setTimeout(0);
const runtime = new SessionProcess();
t.teardown(() => runtime.stop());
const cases: ProgramCase[] = [];

/** A network of one node over inputs of these shapes, with constants by name among its inputs. */
interface Case {
  readonly name: string;
  readonly op: string;
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  readonly constants?: Readonly<Record<string, readonly [readonly number[], readonly number[]]>>;
  readonly order?: readonly string[];
  readonly attributes?: Readonly<Record<string, number | string | readonly number[]>>;
  readonly opset?: number;
  readonly draw?: (rng: Rng) => number;
  /** Output steps by which int8 may be off: half a step for each rounding on the way. */
  readonly steps: number;
}

function graphOf({ op, inputs, constants = {}, order, attributes, opset = 20 }: Case): Graph {
  const b = new GraphBuilder({ name: op, opset });
  for (const [name, dims] of Object.entries(inputs)) b.input(name, 'float32', dims);
  for (const [name, [dims, values]] of Object.entries(constants)) b.constant(name, floatTensor(dims, values));
  const names = order ?? [...Object.keys(inputs), ...Object.keys(constants)];
  b.output(b.node(op, names, attributes ?? {}));
  return b.build();
}

const agree = (t: Test, c: Case): Promise<Agreement> => agreeOn(t, c.name, graphOf(c), c.steps, c.draw);

async function agreeOn(
  t: Test,
  name: string,
  graph: Graph,
  steps: number,
  draw: (rng: Rng) => number = (rng) => 2 * gaussian(rng),
): Promise<Agreement> {
  const rng = Xoshiro128.fromSeed(7);
  const inputs = Array.from({ length: 4 }, () => drawn(graph, rng, draw));
  const found = await agreement(name, graph, inputs, runtime);
  t.ok(found.steps <= steps + 1e-3, `${name}: ${found.steps.toFixed(3)} steps`);
  cases.push(...found.cases);
  return found;
}

const between =
  (low: number, high: number) =>
  (rng: Rng): number =>
    low + (high - low) * rng.next();
const values = (dims: readonly number[], seed = 3): readonly [readonly number[], number[]] => {
  const rng = Xoshiro128.fromSeed(seed);
  return [dims, Array.from({ length: elementCount(dims) }, () => gaussian(rng))];
};

t.test('functions of one value are right to half a step', async (t) => {
  const x = { x: [1, 3, 5, 4] };
  const f = (op: string, draw?: Case['draw'], attributes?: Case['attributes'], opset?: number): Case => ({
    name: `${op} ${JSON.stringify(attributes ?? {})}`,
    op,
    inputs: x,
    ...(draw && { draw }),
    ...(attributes && { attributes }),
    ...(opset && { opset }),
    steps: 0.5,
  });
  const all: readonly Case[] = [
    f('Log', between(0.01, 3)),
    f('Log', between(0.5, 3), {}, 7),
    f('Exp', undefined, {}, 7),
    f('Sqrt', between(0, 9)),
    f('Reciprocal', between(0.25, 4), {}, 7),
    f('Reciprocal', between(-4, -0.5)),
    ...['Floor', 'Ceil', 'Round', 'Sign', 'Softsign', 'Mish', 'Sin', 'Cos', 'Atan', 'Sinh', 'Cosh'].map(
      (op) => f(op),
    ),
    ...['Asinh', 'Abs', 'Neg', 'Softplus', 'HardSwish', 'Tanh', 'Sigmoid', 'Erf'].map((op) => f(op)),
    f('Tan', between(-1.2, 1.2)),
    ...['Asin', 'Acos'].map((op) => f(op, between(-1, 1))),
    f('Acosh', between(1.1, 5)),
    f('Atanh', between(-0.95, 0.95)),
    f('Round', (rng) => Math.round(8 * gaussian(rng)) / 2),
    f('Selu'),
    f('Selu', undefined, { alpha: 2, gamma: 0.5 }, 7),
    f('Celu'),
    f('Celu', undefined, { alpha: 0.4 }),
    f('Elu', undefined, { alpha: 0.3 }, 7),
    f('ThresholdedRelu'),
    f('ThresholdedRelu', undefined, { alpha: 0.25 }),
    f('Shrink'),
    f('Shrink', undefined, { lambd: 1.25, bias: 0.5 }),
  ];
  for (const c of all) await agree(t, c);
});

t.test('constant scalars make tables', async (t) => {
  const one = (value: number) => ({ c: [[], [value]] as const });
  for (const [op, value, draw] of [
    ['Pow', 2, undefined],
    ['Pow', 0.5, between(0, 4)],
    ['Pow', -1, between(0.5, 3)],
    ['Max', 0.25, undefined],
    ['Min', -0.5, undefined],
    ['Sum', 1.5, undefined],
    ['Mean', 3, undefined],
    ['PRelu', 0.2, undefined],
  ] as const)
    await agree(t, {
      name: `${op} ${value}`,
      op,
      inputs: { x: [2, 7] },
      constants: one(value),
      ...(draw && { draw }),
      steps: 0.5,
    });
});

t.test(
  'functions behind one another are one table; what they read has steps where they change',
  async (t) => {
    const chain = (inner: boolean): Graph => {
      const b = new GraphBuilder({ name: `chain${inner}`, opset: 14 });
      const one = (value: number): string => b.constant(`c${value}`, floatTensor([], [value]));
      const bent = b.node('HardSwish', [b.input('x', 'float32', [2, 9])]);
      const scaled = b.node('Mul', [bent, one(0.7)]);
      b.output(b.node('Exp', [b.node('Sub', [one(0.3), scaled])]), 'y');
      if (inner) b.output(scaled, 'scaled');
      return b.build();
    };
    for (const [inner, steps, tables] of [
      [false, 0.5, 1],
      [true, 1.5, 2],
    ] as const) {
      const found = await agreeOn(t, `a chain, inner ${inner}`, chain(inner), steps);
      t.equal(found.compiled.records.filter(({ kind }) => kind === 'lookup').length, tables);
    }
    // From -60 on, of which a hard swish tells what lies above -3 apart: 23 in 256 steps, not 80.
    const b = new GraphBuilder({ name: 'narrow', opset: 14 });
    const weights = [
      b.constant('w', floatTensor([1, 1, 1, 1], [1])),
      b.constant('b', floatTensor([1], [-20])),
    ];
    const layer = b.node('Conv', [b.input('x', 'float32', [1, 1, 9, 9]), ...weights]);
    b.output(b.node('HardSwish', [layer]), 'y');
    await agreeOn(t, 'a hard swish of a wide range', b.build(), 1.4, between(-40, 40));
    const steps = quantisationOf({ min: -1, max: 2 });
    const floored = quantisationOf(narrowed({ min: -1, max: 2.5 }, Math.floor, steps));
    t.equal(Math.floor(floored.scale * (-128 - floored.zeroPoint)), -1, 'what lies below a jump is held');
    // Where the last value that 8 bits hold falls does not decide whether a range is cut.
    const hard = activations.get('HardSwish') as (x: number) => number;
    for (let max = 3; max < 80; max += 0.37) {
      const y = quantisationOf({ min: -0.375, max });
      const { scale, zeroPoint } = quantisationOf(narrowed({ min: -60, max }, hard, y));
      const low = scale * (-128 - zeroPoint);
      t.ok(low > -3 - 2 * scale, `to ${max}: from ${low}, steps of ${scale}`);
      t.ok(Math.abs(hard(low)) <= y.scale / 4, `to ${max}: ${hard(low)} for 0`);
    }
    // An answer without end is that of the range seen, for every reader.
    const ends = new GraphBuilder({ name: 'ends', opset: 14 });
    const high = ends.constant('high', floatTensor([], [-0.5]));
    const inverse = ends.node('Reciprocal', [ends.input('x', 'float32', [2, 9])]);
    ends.output(ends.node('Mul', [inverse, high]), 'y');
    await agreeOn(t, 'a reciprocal times a number', ends.build(), 0.5, between(0.5, 4));
  },
);

t.test('a function with a jump reads what is computed in coarser steps than it asks for', async (t) => {
  for (const [name, op, attributes] of [
    ['a pool of one element', 'AveragePool', { kernel_shape: [1, 1], strides: [2, 2] }],
    ['a pool of four elements', 'AveragePool', { kernel_shape: [2, 2], strides: [2, 2] }],
    ['a mean', 'GlobalAveragePool', {}],
  ] as const) {
    const b = new GraphBuilder({ name: 'jump', opset: 19 });
    b.output(b.node('Sign', [b.node(op, [b.input('x', 'float32', [1, 6, 4, 4])], attributes)]), 'y');
    // Averages are far from 0: each channel is on one side of it.
    let drawnSoFar = 0;
    const sided = (rng: Rng): number => (Math.floor(drawnSoFar++ / 16) % 2 ? 1 : -1) * between(1, 4)(rng);
    await agreeOn(t, name, b.build(), 0.6, sided);
  }
});

t.test('a norm of two elements that lie a few steps apart', async (t) => {
  const b = new GraphBuilder({ name: 'pairs', opset: 17 });
  const ones = b.constant('ones', floatTensor([2], [1, 1]));
  b.output(b.node('LayerNormalization', [b.input('x', 'float32', [40, 2]), ones], { axis: -1 }), 'y');
  // Its epsilon is a fifth of what the integers of the norm count in.
  let first: number | undefined;
  const pairs = (rng: Rng): number => {
    const value = first === undefined ? between(-1.6, 1.6)(rng) : first + between(0.07, 0.17)(rng);
    first = first === undefined ? value : undefined;
    return value;
  };
  await agreeOn(t, 'LayerNormalization', b.build(), 1.4, pairs);
});

t.test('Max, Min, Sum and Mean of any number of operands, which broadcast', async (t) => {
  const shapes: readonly Pick<Case, 'inputs' | 'constants'>[] = [
    { inputs: { a: [1, 4, 3, 5] } },
    { inputs: { a: [1, 4, 3, 5], b: [1, 4, 3, 5] } },
    { inputs: { a: [1, 4, 1, 1], b: [1, 4, 3, 5], c: [5] } },
    { inputs: { a: [1, 4, 1, 1], b: [3, 5] } },
    { inputs: { a: [2, 3, 4] }, constants: { c: values([4]), d: values([2, 1, 1], 5), e: [[], [0.3]] } },
    { inputs: { a: [4], b: [3, 1], c: [2, 3, 4], d: [2, 1, 4] }, constants: { e: values([3, 4]) } },
    { inputs: { a: [6] }, constants: { c: values([2, 6]) } },
  ];
  for (const op of ['Max', 'Min', 'Sum', 'Mean'])
    for (const [i, shape] of shapes.entries())
      await agree(t, {
        name: `${op} ${i}`,
        op,
        ...shape,
        opset: [8, 12, 13][i % 3] as number,
        // The largest is one of the operands, rounded once; a sum rounds for each operand and each partial sum.
        steps: op === 'Max' || op === 'Min' ? 1 : 1.5,
      });
});

t.test('an operand of fewer axes that has all elements', async (t) => {
  for (const op of ['Add', 'Sub', 'Mul'])
    for (const [a, b] of [
      [
        [1, 5, 1, 1],
        [5, 3, 2],
      ],
      [
        [5, 3, 2],
        [1, 5, 1, 1],
      ],
      [
        [1, 1, 4],
        [3, 4],
      ],
    ] as const)
      await agree(t, { name: `${op} [${a}] [${b}]`, op, inputs: { a, b }, steps: 1.5 });
});

t.test('PRelu with a slope of any shape, constant or not', async (t) => {
  const x = { x: [1, 4, 3, 5] };
  for (const opset of [7, 9, 16]) {
    const base = { op: 'PRelu', opset, steps: 1 };
    await agree(t, { ...base, name: 'by channel', inputs: x, constants: { slope: values([4, 1, 1]) } });
    await agree(t, { ...base, name: 'of the last axis', inputs: x, constants: { slope: values([5]) } });
    await agree(t, {
      ...base,
      name: 'of all elements',
      inputs: x,
      constants: { slope: values([1, 4, 3, 5]) },
    });
    await agree(t, { ...base, name: 'of an activation', inputs: { ...x, slope: [4, 1, 1] } });
  }
  await agree(t, {
    op: 'PRelu',
    name: 'of tokens',
    inputs: { x: [1, 6, 8] },
    constants: { slope: values([8]) },
    steps: 1,
  });
});

t.test('the largest, least, sums of magnitudes and squares along axes', async (t) => {
  for (const [dims, axes] of [
    [
      [1, 4, 3, 5],
      [2, 3],
    ],
    [[1, 4, 3, 5], [1]],
    [[2, 3, 4], [-1]],
    [
      [2, 3, 4],
      [0, 2],
    ],
    [[2, 3, 4], []],
    [[7], [0]],
  ] as const)
    for (const keepdims of [0, 1])
      for (const opset of [11, 20]) {
        const given =
          opset < 18
            ? { attributes: axes.length > 0 ? { axes: [...axes], keepdims } : { keepdims } }
            : { attributes: { keepdims } };
        const base = { inputs: { x: dims }, ...given, opset };
        const name = `[${dims}] along [${axes}] in ${opset}`;
        for (const [op, steps] of [
          ['ReduceMax', 0],
          ['ReduceMin', 0],
          ['ReduceL1', 1],
          ['ReduceSumSquare', 12],
          ['ReduceL2', 6],
        ] as const)
          await agree(t, { ...base, op, name: `${op} of ${name}`, steps });
      }
  // Norms over three decades: those far below the largest are still told apart, and never 0.
  const decades = (rng: Rng): number => gaussian(rng) * 10 ** (-3 * rng.next());
  for (const width of [1, 2, 5])
    await agree(t, {
      op: 'ReduceL2',
      name: `small norms of ${width}`,
      inputs: { x: [1, 300, width] },
      attributes: { axes: [2] },
      opset: 13,
      draw: decades,
      steps: [0, 1, 4, 4, 5, 6][width] as number,
    });
  for (const dims of [
    [1, 4, 3, 5],
    [1, 6, 9],
    [2, 3, 4, 2],
  ])
    await agree(t, { op: 'GlobalMaxPool', name: `GlobalMaxPool [${dims}]`, inputs: { x: dims }, steps: 0 });
});

t.test('ArgMax and ArgMin say the place exactly', async (t) => {
  // Whole numbers up to 20: int8 holds each, and many are equal.
  const draw = (rng: Rng): number => Math.floor(21 * rng.next()) * 12.75 - 127.5;
  for (const op of ['ArgMax', 'ArgMin'])
    for (const [dims, attributes, opset] of [
      [[1, 10], { axis: 1 }, 11],
      [[1, 300], { axis: -1, keepdims: 0 }, 13],
      [[1, 4, 3, 5], { axis: 1, select_last_index: 1 }, 12],
      [[1, 4, 3, 5], { axis: 3, keepdims: 0 }, 13],
      [[2, 3, 4], { axis: 0, select_last_index: 1 }, 20],
      [[6, 4], {}, 7],
    ] as const)
      await agree(t, {
        op,
        name: `${op} [${dims}] ${JSON.stringify(attributes)}`,
        inputs: { x: dims },
        attributes,
        opset,
        draw,
        steps: 0,
      });
});

t.test('LogSoftmax along an axis, or from it on before opset 13', async (t) => {
  for (const [dims, axis, opset] of [
    [[1, 10], undefined, 13],
    [[1, 10], undefined, 11],
    [[5, 12], 1, 20],
    [[2, 3, 4], 1, 13],
    [[2, 3, 4], 1, 11],
    [[1, 6, 3, 2], 1, 13],
    [[1, 16], -1, 17],
  ] as const)
    await agree(t, {
      op: 'LogSoftmax',
      name: `LogSoftmax [${dims}] along ${axis} in ${opset}`,
      inputs: { x: dims },
      ...(axis !== undefined && { attributes: { axis } }),
      opset,
      steps: 3,
    });
});

t.test('LogSoftmax over more than its steps allow is refused', async (t) => {
  const made = (count: number, least: number) => {
    const b = new GraphBuilder({ name: 'scores', opset: 13 });
    b.output(b.node('LogSoftmax', [b.input('x', 'float32', [1, count])]), 'y');
    const calibration = async (_: unknown, names: readonly string[]) =>
      new Map(names.map((name) => [name, name === 'y' ? { min: least, max: 0 } : { min: -4, max: 4 }]));
    return compile(b.build(), { board, weights: 'real', calibration });
  };
  await t.rejects(made(49, -10), {
    code: 'OPERATOR_UNSUPPORTED',
    message: /over 49 elements .* off by 0.096/,
  });
  t.ok(await made(49, -30));
});

t.test('Where by a constant condition', async (t) => {
  const mask = (dims: readonly number[]) => ({
    dtype: 'bool' as const,
    dims,
    data: Uint8Array.from({ length: elementCount(dims) }, (_, i) => (i * 7 + (i >> 1)) & 1),
  });
  for (const [condition, a, b, opset] of [
    [[2, 3, 4], [2, 3, 4], [2, 3, 4], 9],
    [[3, 1], [2, 3, 4], [4], 16],
    [[1, 4, 3, 5], [1, 4, 1, 1], [1, 4, 3, 5], 20],
    [[2, 3, 4], [2, 3, 4], 'constant', 16],
    [[4], 'constant', [2, 3, 4], 16],
  ] as const) {
    const g = new GraphBuilder({ name: 'where', opset });
    const c = g.constant('c', mask(condition));
    const choice = (name: string, dims: readonly number[] | string): string =>
      typeof dims === 'string' ? g.constant(name, floatTensor([], [0.75])) : g.input(name, 'float32', dims);
    g.output(g.node('Where', [c, choice('a', a), choice('b', b)]));
    await agreeOn(t, `Where [${condition}] [${a}] [${b}]`, g.build(), 0.5);
  }
  const g = new GraphBuilder({ name: 'masked' });
  const scores = g.input('x', 'float32', [1, 2, 5, 5]);
  const c = g.constant('c', mask([5, 5]));
  g.output(g.softmax(g.node('Where', [c, scores, g.scalar(-1e9)])));
  await agreeOn(t, 'scores masked before a softmax', g.build(), 6);
});

t.test('blocks of pixels become channels and come back, element by element', async (t) => {
  for (const opset of [11, 13])
    for (const [op, dims, attributes] of [
      ['DepthToSpace', [1, 12, 3, 5], { blocksize: 2 }],
      ['DepthToSpace', [1, 12, 3, 5], { blocksize: 2, mode: 'CRD' }],
      ['DepthToSpace', [1, 9, 2, 3], { blocksize: 3, mode: 'CRD' }],
      ['DepthToSpace', [1, 8, 2, 2], { blocksize: 1, mode: 'DCR' }],
      ['SpaceToDepth', [1, 3, 4, 6], { blocksize: 2 }],
      ['SpaceToDepth', [1, 2, 6, 3], { blocksize: 3 }],
      ['DepthToSpace', [2, 8, 3, 2], { blocksize: 2, mode: 'CRD' }],
      ['SpaceToDepth', [3, 2, 4, 2], { blocksize: 2 }],
    ] as const)
      await agree(t, {
        op,
        name: `${op} ${JSON.stringify(attributes)}`,
        inputs: { x: dims },
        attributes,
        opset,
        steps: 0,
      });
});

t.test('a window over a part of the input reads that part alone', async (t) => {
  const b = new GraphBuilder({ name: 'part' });
  const part = b.slice(b.input('x', 'float32', [1, 2, 9, 5]), 2, 3, 9);
  // Halves of one size: int8 holds them exactly.
  const weights = Array.from({ length: 54 }, (_, i) => ((i * 5) % 7 > 3 ? 0.5 : -0.5));
  b.output(b.conv(part, b.constant('w', floatTensor([3, 2, 3, 3], weights))));
  await agreeOn(t, 'a convolution over later lines', b.build(), 0.5);
});

t.test('the C runtime answers all of these as the reference does', async (t) => {
  const outcomes = runNative(buildNative(), cases);
  for (const [i, c] of cases.entries()) {
    const { checkError, checkIndex, runError, guardsWhole, arena } = outcomes[i] as (typeof outcomes)[number];
    const { at, bytes } = c.expected[0] as { at: number; bytes: Int8Array };
    const same = bytes.every((value, j) => value === arena[at + j]);
    if (checkError || runError || !guardsWhole || !same)
      t.fail(`${c.name}: check ${checkError} at ${checkIndex}, run ${runError}, same ${same}`);
  }
  t.ok(cases.length > 100);
});
