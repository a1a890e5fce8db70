import t, { type Test } from 'tap';
import { Xoshiro128 } from '../../../daemon/core/rng.js';
import { SessionProcess } from '../../../daemon/runtime/session-process.js';
import { type Case, checkCases } from './operator-cases.js';
import { byte, constant, drawn, furthest, int, ints, options, ramp, real, runOne } from './run-converted.js';
import { leftOut, type OperatorSpec, type TensorSpec } from './write-tflite.js';

const runtime = new SessionProcess();
t.teardown(() => runtime.stop());
t.setTimeout(300_000);

const check = (t: Test, cases: readonly Case[]): Promise<void> => checkCases(t, runtime, cases);

const x = [-7, -1.5, -0.5, 0, 0.5, 1.5, 2.5, 7];
const each = (f: (value: number) => number, values = x): number[] => values.map(f);
const line = (
  op: string,
  f: (value: number) => number,
  values = x,
  option?: OperatorSpec['options'],
): Case => [op, [[[values.length], values]], [values.length], each(f, values), option];
const clamp = (low: number, high: number) => (v: number) => Math.min(Math.max(v, low), high);
const erf = (v: number): number => {
  // The Maclaurin series, which converges everywhere.
  let [sum, term] = [v, v];
  for (let n = 1; n < 90; n++) {
    term *= (-v * v) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
};
const halfEven = (v: number): number => (Math.abs(v % 1) === 0.5 ? 2 * Math.round(v / 2) : Math.round(v));

t.test('element by element', async (t) => {
  const above = [0.25, 1, 2, 9];
  const small = [-2.5, -0.75, 0, 0.3, 1, 2.5];
  const wave = (v: number): number =>
    0.5 * v * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3)));
  await check(t, [
    line('RELU', (v) => Math.max(0, v)),
    line('RELU6', clamp(0, 6)),
    line('RELU_N1_TO_1', clamp(-1, 1)),
    line('RELU_0_TO_1', clamp(0, 1)),
    line('LEAKY_RELU', (v) => (v < 0 ? v / 8 : v), x, options('LeakyRelu', real(0.125))),
    line('ELU', (v) => (v < 0 ? Math.expm1(v) : v)),
    line('GELU', (v) => (v / 2) * (1 + erf(v / Math.SQRT2)), small, options('Gelu', byte(0))),
    line('GELU', wave, small, options('Gelu', byte(1))),
    line('LOGISTIC', (v) => 1 / (1 + Math.exp(-v))),
    line('TANH', Math.tanh),
    line('HARD_SWISH', (v) => (v * clamp(0, 6)(v + 3)) / 6),
    line('EXP', Math.exp, small),
    line('LOG', Math.log, above),
    line('SQRT', Math.sqrt, above),
    line('RSQRT', (v) => 1 / Math.sqrt(v), above),
    line('SQUARE', (v) => v * v),
    line('ABS', Math.abs),
    line('NEG', (v) => -v),
    line('SIGN', Math.sign),
    line('FLOOR', Math.floor),
    line('CEIL', Math.ceil),
    line('ROUND', halfEven),
    line('SIN', Math.sin),
    line('COS', Math.cos),
    [
      'PRELU',
      [
        [
          [1, 1, 2, 2],
          [-4, -4, 4, -2],
        ],
        constant([1, 1, 2], [0.5, 0.25]),
      ],
      [1, 1, 2, 2],
      [-2, -1, 4, -0.5],
    ],
  ]);
});

t.test('two operands that broadcast, and comparisons', async (t) => {
  const a = [
    [2, 3],
    [1, 2, 3, 4, 5, 6],
  ] as const;
  const b = [[3], [4, -2, 3]] as const;
  const pairs = (f: (a: number, b: number) => number): number[] =>
    a[1].map((v, i) => f(v, b[1][i % 3] as number));
  const two = (op: string, type: string, f: (a: number, b: number) => number, activation?: number): Case => [
    op,
    [a, b],
    [2, 3],
    pairs(f),
    activation === undefined ? options(type) : options(type, byte(activation)),
  ];
  const compare = (op: string, type: string, f: (a: number, b: number) => boolean): Case => [
    op,
    [a, b],
    [2, 3],
    pairs((v, w) => Number(f(v, w))),
    options(type),
    'bool',
  ];
  await check(t, [
    two('ADD', 'Add', (v, w) => v + w, 0),
    two('ADD', 'Add', (v, w) => Math.max(0, v + w), 1),
    two('SUB', 'Sub', (v, w) => clamp(-1, 1)(v - w), 2),
    two('MUL', 'Mul', (v, w) => clamp(0, 6)(v * w), 3),
    two('DIV', 'Div', (v, w) => Math.tanh(v / w), 4),
    two('MAXIMUM', 'MaximumMinimum', Math.max),
    two('MINIMUM', 'MaximumMinimum', Math.min),
    two('POW', 'Pow', (v, w) => v ** w),
    two('SQUARED_DIFFERENCE', 'SquaredDifference', (v, w) => (v - w) ** 2),
    compare('EQUAL', 'Equal', (v, w) => v === w),
    compare('NOT_EQUAL', 'NotEqual', (v, w) => v !== w),
    compare('LESS', 'Less', (v, w) => v < w),
    compare('LESS_EQUAL', 'LessEqual', (v, w) => v <= w),
    compare('GREATER', 'Greater', (v, w) => v > w),
    compare('GREATER_EQUAL', 'GreaterEqual', (v, w) => v >= w),
    ['LOGICAL_NOT', [constant([2], [0, 1], 'bool')], [2], [1, 0], options('LogicalNot'), 'bool'],
    [
      'LOGICAL_AND',
      [constant([4], [0, 0, 1, 1], 'bool'), constant([4], [0, 1, 0, 1], 'bool')],
      [4],
      [0, 0, 0, 1],
      options('LogicalAnd'),
      'bool',
    ],
    [
      'LOGICAL_OR',
      [constant([4], [0, 0, 1, 1], 'bool'), constant([4], [0, 1, 0, 1], 'bool')],
      [4],
      [0, 1, 1, 1],
      options('LogicalOr'),
      'bool',
    ],
    ['ADD_N', [a, a, a], [2, 3], [3, 6, 9, 12, 15, 18], options('AddN')],
    ['DIV', [constant([3], [7, -7, 9], 'int32'), ints(2, 2, -4)], [3], [3, -3, -2], options('Div'), 'int32'],
  ]);
});

t.test('reductions, indices and products', async (t) => {
  const grid = [
    [2, 3],
    [3, -1, 2, 5, 5, 0],
  ] as const;
  const axis = (value: number): TensorSpec => constant([], [value], 'int32');
  const reducer = (keep: number) => options('Reducer', byte(keep));
  await check(t, [
    ['MEAN', [grid, ints(1)], [2, 1], [4 / 3, 10 / 3], reducer(1)],
    ['MEAN', [[[1, 2, 2, 3], ramp([12])], ints(1, 2)], [1, 3], [4.5, 5.5, 6.5], reducer(0)],
    ['SUM', [grid, ints(-2)], [3], [8, 4, 2], reducer(0)],
    ['SUM', [grid, ints()], [2, 3], grid[1], reducer(0)],
    ['REDUCE_MAX', [grid, ints(0, 1)], [], [5], reducer(0)],
    ['REDUCE_MIN', [grid, ints(1)], [2], [-1, 0], reducer(0)],
    ['REDUCE_PROD', [grid, ints(1)], [2], [-6, 0], reducer(0)],
    ['REDUCE_ANY', [constant([2, 2], [0, 1, 0, 0], 'bool'), ints(1)], [2], [1, 0], reducer(0), 'bool'],
    ['ARG_MAX', [grid, axis(1)], [2], [0, 0], options('ArgMax', byte(2)), 'int32'],
    ['ARG_MIN', [grid, axis(-1)], [2], [1, 2], options('ArgMin', byte(2)), 'int32'],
    ['CUMSUM', [grid, axis(1)], [2, 3], [3, 2, 4, 5, 10, 10], options('Cumsum', byte(0), byte(0))],
    ['CUMSUM', [grid, axis(1)], [2, 3], [1, 2, 0, 5, 0, 0], options('Cumsum', byte(1), byte(1))],
    ['GATHER', [grid, ints(2, 0)], [2, 2], [2, 3, 0, 5], options('Gather', int(1))],
    ['GATHER_ND', [grid, constant([2, 2], [1, 2, 0, 1], 'int32')], [2], [0, -1], options('GatherNd')],
    ['EMBEDDING_LOOKUP', [ints(1, 0, 1), grid], [3, 3], [5, 5, 0, 3, -1, 2, 5, 5, 0]],
    [
      'SELECT',
      [constant([2], [0, 1], 'bool'), grid, [[2, 3], ramp([6])]],
      [2, 3],
      [0, 1, 2, 5, 5, 0],
      options('Select'),
    ],
    [
      'SELECT_V2',
      [constant([3], [0, 1, 1], 'bool'), grid, [[1, 1], [9]]],
      [2, 3],
      [9, -1, 2, 9, 5, 0],
      options('SelectV2'),
    ],
    [
      'ONE_HOT',
      [ints(1, -1, 2), axis(2), constant([], [5]), constant([], [1])],
      [3, 2],
      [1, 5, 1, 1, 1, 1],
      options('OneHot', int(-1)),
    ],
    [
      'ONE_HOT',
      [ints(1, 0), axis(3), constant([], [1]), constant([], [0])],
      [3, 2],
      [0, 1, 1, 0, 0, 0],
      options('OneHot', int(0)),
    ],
    [
      'SOFTMAX',
      [
        [
          [1, 2],
          [0, Math.log(3)],
        ],
      ],
      [1, 2],
      [0.1, 0.9],
      options('Softmax', real(2)),
    ],
    [
      'LOG_SOFTMAX',
      [
        [
          [1, 2],
          [0, Math.log(3)],
        ],
      ],
      [1, 2],
      [Math.log(0.25), Math.log(0.75)],
      options('LogSoftmax'),
    ],
    [
      'L2_NORMALIZATION',
      [
        [
          [2, 2],
          [3, 4, 0, 0],
        ],
      ],
      [2, 2],
      [0.6, 0.8, 0, 0],
      options('L2Norm', byte(0)),
    ],
    [
      'FULLY_CONNECTED',
      [grid, constant([2, 3], [1, 0, 2, 0, -1, 1]), constant([2], [0, 1])],
      [2, 2],
      [7, 4, 5, 0],
      options('FullyConnected', byte(1)),
    ],
    [
      'FULLY_CONNECTED',
      [
        [
          [1, 2, 2],
          [1, 2, 3, 4],
        ],
        constant([1, 2], [1, 10]),
      ],
      [1, 2, 1],
      [21, 43],
      options('FullyConnected', byte(0), byte(0), byte(1)),
      'float32',
      5,
    ],
    [
      'BATCH_MATMUL',
      [
        [
          [2, 2],
          [1, 2, 3, 4],
        ],
        [
          [2, 2],
          [0, 1, 1, 0],
        ],
      ],
      [2, 2],
      [3, 1, 4, 2],
      options('BatchMatMul', byte(1), byte(0)),
    ],
    [
      'BATCH_MATMUL',
      [
        [
          [1, 2],
          [1, 2],
        ],
        [
          [3, 2],
          [1, 0, 0, 1, 1, 1],
        ],
      ],
      [1, 3],
      [1, 2, 3],
      options('BatchMatMul', byte(0), byte(1)),
    ],
  ]);
  const [values, at] = await runOne(
    runtime,
    'TOPK_V2',
    {
      inputs: [{ dims: [2, 3] }, axis(2)],
      outputs: [{ dims: [2, 2] }, { dims: [2, 2], type: 'int32' }],
      options: options('TopKV2'),
    },
    [grid[1]],
  );
  t.same(
    [values?.values, at?.values],
    [
      [3, 2, 5, 5],
      [0, 2, 0, 1],
    ],
  );
});

t.test('an LSTM, its cell cut or not', async (t) => {
  const rng = Xoshiro128.fromSeed(73);
  const [steps, batch, width, units] = [13, 2, 3, 2];
  const sigmoid = (v: number): number => 1 / (1 + Math.exp(-v));
  for (const [clip, timeMajor] of [
    [0, 0],
    [10, 0],
    [0.25, 1],
  ] as const) {
    const weights = Array.from({ length: 4 }, () => drawn(rng, [units, width], -3, 3));
    const recurrent = Array.from({ length: 4 }, () => drawn(rng, [units, units], -3, 3));
    const bias = Array.from({ length: 4 }, () => drawn(rng, [units], 1, 3));
    const x = drawn(rng, [steps, batch, width]);
    const at = (n: number, s: number): number => (timeMajor ? s * batch + n : n * steps + s);
    const wanted = Array<number>(steps * batch * units).fill(0);
    for (let n = 0; n < batch; n++) {
      let [h, c] = [Array<number>(units).fill(0), Array<number>(units).fill(0)];
      for (let s = 0; s < steps; s++) {
        const gate = (g: number, u: number): number =>
          bias[g]![u]! +
          Array.from(
            { length: width },
            (_, i) => weights[g]![u * width + i]! * x[at(n, s) * width + i]!,
          ).reduce((a, b) => a + b) +
          h.map((v, i) => recurrent[g]![u * units + i]! * v).reduce((a, b) => a + b);
        const cut = (v: number): number => (clip ? clamp(-clip, clip)(v) : v);
        c = c.map((v, u) => cut(sigmoid(gate(1, u)) * v + sigmoid(gate(0, u)) * Math.tanh(gate(2, u))));
        h = c.map((v, u) => sigmoid(gate(3, u)) * Math.tanh(v));
        h.forEach((v, u) => {
          wanted[at(n, s) * units + u] = v;
        });
      }
    }
    const [dims, out] = [width, units].map((last) =>
      timeMajor ? [steps, batch, last] : [batch, steps, last],
    );
    const state: TensorSpec = { dims: [batch, units], variable: true };
    const tensors = [
      { dims: dims as number[] },
      ...weights.map((w) => constant([units, width], w)),
      ...recurrent.map((w) => constant([units, units], w)),
      leftOut,
      leftOut,
      leftOut,
      ...bias.map((w) => constant([units], w)),
      leftOut,
      leftOut,
      state,
      state,
      leftOut,
      leftOut,
      leftOut,
      leftOut,
    ];
    const op = 'UNIDIRECTIONAL_SEQUENCE_LSTM';
    const spec = {
      inputs: tensors,
      outputs: [{ dims: out as number[] }],
      options: options('UnidirectionalSequenceLSTM', byte(4), real(clip), real(0), byte(timeMajor)),
    };
    const [y] = await runOne(runtime, op, spec, [x]);
    t.ok(furthest(y?.values ?? [], wanted) < 1e-5, `cut at ${clip}`);
    const whole = { ...constant([units, width], [1, 2, 3, 4, 5, 6], 'int8'), scales: [0.1], zeros: [0] };
    const integers = { ...spec, inputs: tensors.map((tensor, i) => (i === 3 ? whole : tensor)) };
    await t.rejects(runOne(runtime, op, integers, [x]), {
      code: 'OPERATOR_UNSUPPORTED',
      message: /LSTM.*it needs weights of float32, these are int8/,
    });
  }
});

t.test('SVDF: a step of its filters, its state handed in and out', async (t) => {
  const rng = Xoshiro128.fromSeed(74);
  const [batch, width, rank, units] = [2, 5, 2, 3];
  const filters = rank * units;
  for (const steps of [1, 4]) {
    const [feature, time] = [drawn(rng, [filters, width]), drawn(rng, [filters, steps])];
    const [bias, x] = [drawn(rng, [units]), drawn(rng, [batch, width])];
    const state = drawn(rng, [batch, filters * steps]);
    const next = state.map((_, i) => {
      const [n, f, s] = [Math.floor(i / filters / steps), Math.floor(i / steps) % filters, i % steps];
      if (s < steps - 1) return state[i + 1]!;
      return x.slice(n * width, (n + 1) * width).reduce((sum, v, k) => sum + v * feature[f * width + k]!, 0);
    });
    const wanted = Array.from({ length: batch * units }, (_, i) => {
      const [n, u] = [Math.floor(i / units), i % units];
      let sum = bias[u]!;
      for (let k = 0; k < rank * steps; k++)
        sum += time[u * rank * steps + k]! * next[(n * filters + u * rank) * steps + k]!;
      return Math.max(0, sum);
    });
    const made = await runOne(
      runtime,
      'SVDF',
      {
        inputs: [
          { dims: [batch, width] },
          constant([filters, width], feature),
          constant([filters, steps], time),
          constant([units], bias),
          { name: 'memory', dims: [batch, filters * steps], variable: true },
        ],
        outputs: [{ dims: [batch, units] }],
        options: options('SVDF', int(rank), byte(1)),
      },
      [x, state],
    );
    t.ok(furthest(made[0]?.values ?? [], wanted) < 1e-5, `${steps} steps`);
    t.ok(furthest(made[1]?.values ?? [], next) < 1e-5, 'what it keeps');
  }
});

t.test('SVDF on integers, features kept in 16 bits', async (t) => {
  const rng = Xoshiro128.fromSeed(75);
  const [width, filters, steps] = [6, 4, 3];
  const whole = (dims: readonly number[], most: number): number[] =>
    drawn(rng, dims, -most, most).map((v) => Math.round(v));
  const [feature, time] = [whole([filters, width], 127), whole([filters, steps], 30_000)];
  const [bias, x] = [whole([filters], 2e7), whole([1, width], 127)];
  const state = whole([1, filters * steps], 20_000);
  const scale = { x: 2 ** -5, feature: 2 ** -7, state: 2 ** -10, time: 2 ** -15, y: 2 ** -3 };
  const zero = -7;
  const clampTo =
    (low: number, high: number) =>
    (v: number): number =>
      Math.min(high, Math.max(low, halfEven(v)));
  const next = state.map((_, i) => {
    const f = Math.floor(i / steps);
    if (i % steps < steps - 1) return state[i + 1]!;
    const sum = x.reduce((all, v, k) => all + (v - zero) * feature[f * width + k]!, 0);
    return clampTo(-32768, 32767)((sum * scale.x * scale.feature) / scale.state);
  });
  const wanted = bias.map((b, f) => {
    let sum = b;
    for (let k = 0; k < steps; k++) sum += time[f * steps + k]! * next[f * steps + k]!;
    return clampTo(-128, 127)((sum * scale.state * scale.time) / scale.y - 128);
  });
  const inputs: TensorSpec[] = [
    { dims: [1, width], type: 'int8', scales: [scale.x], zeros: [zero] },
    { ...constant([filters, width], feature, 'int8'), scales: [scale.feature], zeros: [0] },
    { ...constant([filters, steps], time, 'int16'), scales: [scale.time], zeros: [0] },
    { ...constant([filters], bias, 'int32'), scales: [scale.state * scale.time], zeros: [0] },
    {
      name: 'memory',
      dims: [1, filters * steps],
      type: 'int16',
      scales: [scale.state],
      zeros: [0],
      variable: true,
    },
  ];
  const spec = {
    inputs,
    outputs: [{ dims: [1, filters], type: 'int8', scales: [scale.y], zeros: [-128] }],
    options: options('SVDF', int(1), byte(1)),
    version: 3,
  };
  const made = await runOne(runtime, 'SVDF', spec, [x, state]);
  t.same([made[0]?.values, made[1]?.values], [wanted, next]);
  const refused = inputs.map((input, i) => (i === 1 ? { ...input, zeros: [3] } : input));
  await t.rejects(runOne(runtime, 'SVDF', { ...spec, inputs: refused }, [x, state]), {
    code: 'OPERATOR_UNSUPPORTED',
    message: /SVDF.*zero point/,
  });
});
