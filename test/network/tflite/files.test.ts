import { Builder } from 'flatbuffers';
import t from 'tap';
import { HildaError } from '../../../daemon/core/errors.js';
import type { Measurement } from '../../../daemon/core/measurement.js';
import { Xoshiro128 } from '../../../daemon/core/rng.js';
import { asConverted } from '../../../daemon/measure/converted.js';
import { countCost } from '../../../daemon/network/cost.js';
import type { Graph } from '../../../daemon/network/graph.js';
import { inferShapes } from '../../../daemon/network/infer-shapes.js';
import { checkNetworkLimits } from '../../../daemon/network/limits.js';
import { readModelFile } from '../../../daemon/network/read-model-file.js';
import { FlatFile } from '../../../daemon/network/tflite/flat.js';
import { SessionProcess } from '../../../daemon/runtime/session-process.js';
import { compareQuantised, noAgreement, widestExactWeight } from '../../compiler/compare-quantised.js';
import { convolution, type Dims4 } from './nhwc-loops.js';
import {
  byte,
  constant,
  count,
  drawn,
  furthest,
  int,
  ints,
  options,
  ramp,
  real,
  runConverted,
  runOne,
} from './run-converted.js';
import { type ModelSpec, type OperatorSpec, type TensorSpec, writeTflite } from './write-tflite.js';

const runtime = new SessionProcess();
t.teardown(() => runtime.stop());
t.setTimeout(300_000);

const rng = Xoshiro128.fromSeed(81);
const conv = (inputs: number[], output: number, activation = 0): OperatorSpec => ({
  op: 'CONV_2D',
  inputs,
  outputs: [output],
  options: options('Conv2D', byte(0), int(1), int(1), byte(activation), int(1), int(1)),
});
const code = (run: () => unknown): string => {
  try {
    run();
    return 'nothing thrown';
  } catch (error) {
    return error instanceof HildaError ? `${error.code}: ${error.message}` : `not typed: ${error}`;
  }
};
const opsOf = ({ nodes }: Graph, op: string): number => nodes.filter((node) => node.op === op).length;

/** A block of MobileNet: convolution, a residual sum, scales by channel, mean, product. */
function block(): ModelSpec {
  const image = { dims: [1, 6, 6, 4] };
  return {
    tensors: [
      { ...image, name: 'image' },
      constant([4, 3, 3, 4], drawn(rng, [4, 3, 3, 4])),
      constant([4], drawn(rng, [4])),
      image,
      { ...image, name: 'sum' },
      constant([4], drawn(rng, [4])),
      image,
      { dims: [1, 6, 6, 8] },
      constant([4, 2], [0, 0, 1, 1, 0, 2, 0, 0], 'int32'),
      { dims: [1, 8, 8, 8] },
      ints(1, 2),
      { dims: [1, 8] },
      constant([3, 8], drawn(rng, [3, 8])),
      { dims: [1, 3], name: 'scores' },
    ],
    operators: [
      conv([0, 1, 2], 3, 3),
      { op: 'ADD', inputs: [0, 3], outputs: [4], options: options('Add', byte(1)) },
      { op: 'MUL', inputs: [4, 5], outputs: [6], options: options('Mul', byte(0)) },
      {
        op: 'CONCATENATION',
        inputs: [6, 0],
        outputs: [7],
        options: options('Concatenation', int(3), byte(0)),
      },
      { op: 'PAD', inputs: [7, 8], outputs: [9], options: options('Pad') },
      { op: 'MEAN', inputs: [9, 10], outputs: [11], options: options('Reducer', byte(0)) },
      { op: 'FULLY_CONNECTED', inputs: [11, 12], outputs: [13], options: options('FullyConnected', byte(0)) },
    ],
    inputs: [0],
    outputs: [13, 4],
  };
}

t.test('a network is channels first inside and as it was outside', async (t) => {
  const spec = block();
  const x = drawn(rng, [1, 6, 6, 4]);
  const { graph, outputs } = await runConverted(runtime, writeTflite(spec), [x]);
  t.same(graph.inputs, [{ name: 'image', dtype: 'float32', dims: [1, 6, 6, 4] }]);
  t.same(
    graph.outputs.map(({ name, dims }) => [name, dims]),
    [
      ['scores', [1, 3]],
      ['sum', [1, 6, 6, 4]],
    ],
  );
  t.equal(opsOf(graph, 'Transpose'), 2, 'one for the input, one for the output with an image');
  const [w, b, k, head] = [1, 2, 5, 12].map((i) => spec.tensors[i]?.data as number[]) as [
    number[],
    number[],
    number[],
    number[],
  ];
  const windows = { same: true, kernel: [3, 3], strides: [1, 1], dilations: [1, 1] } as const;
  const y = convolution(windows, x, [1, 6, 6, 4], w, [4, 3, 3, 4], b).map((v) => Math.min(Math.max(v, 0), 6));
  const sum = y.map((v, i) => Math.max(0, v + (x[i] as number)));
  t.ok(furthest(outputs[1]?.values ?? [], sum) < 1e-5);
  const means = Array.from({ length: 8 }, (_, c) => {
    const values = c < 4 ? sum.map((v, i) => v * k[i % 4]!) : x;
    return values.filter((_, i) => i % 4 === c % 4).reduce((a, v) => a + v, 0) / 64;
  });
  const scores = [0, 1, 2].map((o) => means.reduce((a, v, c) => a + v * head[o * 8 + c]!, 0));
  t.ok(furthest(outputs[0]?.values ?? [], scores) < 1e-5);
  t.same(inferShapes(graph).get('scores')?.dims, [1, 3]);
  t.equal(countCost(graph).macs, 36 * 4 * 36 + 24);
  for (const variant of [{ behind: true }, { oldCodes: true }]) {
    const other = await runConverted(runtime, writeTflite({ ...spec, ...variant }), [x]);
    t.same(other.outputs, outputs, JSON.stringify(variant));
  }
  const measured = asConverted({ target: { model: 'host' }, manifest: {} } as unknown as Measurement, graph);
  t.equal(measured.target.network, 'converted from TensorFlow Lite');
  const asGiven = { target: { model: 'host' }, manifest: { ranFileAsGiven: true } } as unknown as Measurement;
  t.equal(asConverted(asGiven, graph), asGiven, 'a runner that took the file itself');
  const plain = { target: { model: 'host' } } as unknown as Measurement;
  t.equal(asConverted(plain, { ...graph, convertedFrom: undefined } as unknown as Graph), plain);
});

t.test('a shape that is computed from the input is known once its open batch is', async (t) => {
  const bytes = writeTflite({
    tensors: [
      { dims: [1, 4, 2], signature: [-1, 4, 2], name: 'x' },
      { dims: [3], type: 'int32' },
      ints(0),
      ints(1),
      { dims: [], type: 'int32' },
      constant([], [8], 'int32'),
      { dims: [2], type: 'int32' },
      { dims: [1, 8], signature: [-1, 8], name: 'y' },
    ],
    operators: [
      { op: 'SHAPE', inputs: [0], outputs: [1], options: options('Shape', byte(2)) },
      {
        op: 'STRIDED_SLICE',
        inputs: [1, 2, 3, 3],
        outputs: [4],
        options: options('StridedSlice', int(0), int(0), int(0), int(0), int(1)),
      },
      { op: 'PACK', inputs: [4, 5], outputs: [6], options: options('Pack', int(2), int(0)) },
      { op: 'RESHAPE', inputs: [0, 6], outputs: [7], options: options('Reshape', ['ints', [-1, 8]]) },
    ],
    inputs: [0],
    outputs: [7],
  });
  const { graph, outputs } = await runConverted(runtime, bytes, [ramp([8])]);
  t.same(outputs, [{ dims: [1, 8], type: 'float32', values: ramp([8]) }]);
  t.same(
    graph.nodes.map(({ op }) => op),
    ['Reshape'],
  );
});

t.test('names that are empty, equal or special stay apart', async (t) => {
  const name = { name: 'constructor' };
  const bytes = writeTflite({
    tensors: [
      { dims: [2], ...name },
      { dims: [2], name: '' },
      { dims: [2], ...name },
      { dims: [2], name: '__proto__', data: [10, 20] },
      { dims: [2], name: 'constant_0' },
    ],
    operators: [
      { op: 'ADD', inputs: [0, 3], outputs: [2], options: options('Add', byte(0)) },
      { op: 'RELU', inputs: [2], outputs: [1] },
      { op: 'RESHAPE', inputs: [1], outputs: [4], options: options('Reshape', ['ints', [2]]) },
    ],
    inputs: [0],
    outputs: [2, 0, 4, 2],
  });
  const { graph, outputs } = await runConverted(runtime, bytes, [[-30, 1]]);
  t.same(
    outputs.map(({ values }) => values),
    [
      [-20, 21],
      [-30, 1],
      [0, 21],
      [-20, 21],
    ],
  );
  const names = [...graph.inputs, ...graph.outputs].map((value) => value.name);
  t.equal(new Set(names).size, names.length);
});

/** Rounds halves to even, as ONNX does. */
const rounded = (v: number): number => (Math.abs(v % 1) === 0.5 ? 2 * Math.round(v / 2) : Math.round(v));

/** An 8-bit convolution whose scales are powers of two, so that its real numbers are exact. */
function quantised(type: 'int8' | 'uint8', activation: number, widest: number) {
  const dims: Dims4 = [1, 5, 4, 3];
  const shape: Dims4 = [2, 3, 3, 3];
  const [low, high] = type === 'int8' ? [-128, 127] : [0, 255];
  const whole = (n: number, from: number, to: number): number[] =>
    Array.from({ length: n }, () => from + Math.floor(rng.next() * (to - from + 1)));
  const x = whole(count(dims), low, high);
  const [w, b] = [whole(count(shape), -widest, widest), whole(2, -9000, 9000)];
  const [xs, ys, ws] = [1 / 64, 1 / 8, [1 / 32, 1 / 128]];
  const [xz, yz] = [low + 100, low + 28];
  const model: ModelSpec = {
    tensors: [
      { dims, type, scales: [xs], zeros: [xz], name: 'x' },
      { dims: shape, type: 'int8', data: w, scales: ws, axis: 0 },
      { dims: [2], type: 'int32', data: b, scales: ws.map((s) => s * xs), axis: 0 },
      { dims: [1, 5, 4, 2], type, scales: [ys], zeros: [yz], name: 'y' },
    ],
    operators: [{ ...conv([0, 1, 2], 3, activation), version: 3 }],
    inputs: [0],
    outputs: [3],
  };
  const windows = { same: true, kernel: [3, 3], strides: [1, 1], dilations: [1, 1] } as const;
  const sums = convolution(
    windows,
    x.map((v) => v - xz),
    dims,
    w,
    shape,
    b,
  );
  const top = [high, high, high, Math.min(high, 6 / ys + yz)][activation] as number;
  const wanted = sums.map((sum, i) => {
    const value = rounded((sum * xs * (ws[i % 2] as number)) / ys) + yz;
    return Math.min(Math.max(value, activation ? yz : low), top);
  });
  return { bytes: writeTflite(model), x, wanted };
}

t.test('8-bit networks give the integers that their scales say', async (t) => {
  const widest = await widestExactWeight(runtime);
  for (const type of ['int8', 'uint8'] as const)
    for (const activation of [0, 1, 3]) {
      const { bytes, x, wanted } = quantised(type, activation, widest);
      const { graph, outputs } = await runConverted(runtime, bytes, [x]);
      t.same(outputs[0]?.values, wanted, `${type} ${activation}`);
      t.same([graph.inputs[0]?.dtype, outputs[0]?.type], [type, type]);
    }
});

t.test('boards run an 8-bit file with its own scales', async (t) => {
  const agreement = noAgreement();
  for (let k = 0; k < 6; k++) {
    const { bytes } = tinyNetwork();
    const graph = readModelFile(bytes);
    const x = Int8Array.from({ length: 8 * 8 * 3 }, () => Math.floor(rng.next() * 256) - 128);
    const feed = { image: { type: 'int8', dims: [1, 8, 8, 3], data: x } } as const;
    // Compiling throws where it asks for a range.
    await compareQuantised(graph, [feed], runtime, 'all', agreement);
    t.equal(opsOf(graph, 'Transpose'), 1, 'the image');
  }
  const { elements, equal, largest } = agreement;
  t.ok(elements >= 60 && equal / elements > 0.95 && largest <= 1, JSON.stringify(agreement));
});

/** Convolutions, a residual sum, a mean and a product, in 8 bits with scales by channel, as converters write them. */
function tinyNetwork(): { readonly bytes: Uint8Array } {
  const scale = (low: number, high: number): number => Math.fround(low + rng.next() * (high - low));
  const zero = (): number => Math.floor(rng.next() * 40) - 20;
  const value = (dims: number[], name: string) => ({
    dims,
    name,
    type: 'int8',
    scales: [scale(0.02, 0.05)],
    zeros: [zero()],
  });
  const image = value([1, 8, 8, 3], 'image');
  const [a, b, sum] = ['a', 'b', 'sum'].map((name) => value([1, 8, 8, 4], name)) as [
    ReturnType<typeof value>,
    ReturnType<typeof value>,
    ReturnType<typeof value>,
  ];
  const [mean, scores] = [value([1, 4], 'mean'), value([1, 10], 'scores')];
  const weights = (
    dims: number[],
    axis: number,
    from: ReturnType<typeof value>,
  ): [TensorSpec, TensorSpec] => {
    const channels = dims[axis] as number;
    const scales = Array.from({ length: channels }, () => scale(0.002, 0.006));
    const whole = (n: number, top: number): number[] =>
      Array.from({ length: n }, () => Math.round((rng.next() * 2 - 1) * top));
    return [
      { dims, type: 'int8', data: whole(count(dims), 127), scales, axis },
      {
        dims: [channels],
        type: 'int32',
        data: whole(channels, 900),
        scales: scales.map((s) => Math.fround(s * (from.scales[0] as number))),
        axis: 0,
      },
    ];
  };
  const [w1, b1] = weights([4, 3, 3, 3], 0, image);
  const [w2, b2] = weights([1, 3, 3, 4], 3, a);
  const [w3, b3] = weights([10, 4], 0, mean);
  const bytes = writeTflite({
    tensors: [image, w1, b1, a, w2, b2, b, sum, ints(1, 2), mean, w3, b3, scores],
    operators: [
      { ...conv([0, 1, 2], 3, 1), version: 3 },
      {
        op: 'DEPTHWISE_CONV_2D',
        version: 3,
        inputs: [3, 4, 5],
        outputs: [6],
        options: options('DepthwiseConv2D', byte(0), int(1), int(1), int(1), byte(3)),
      },
      { op: 'ADD', version: 2, inputs: [3, 6], outputs: [7], options: options('Add', byte(0)) },
      { op: 'MEAN', version: 2, inputs: [7, 8], outputs: [9], options: options('Reducer', byte(0)) },
      {
        op: 'FULLY_CONNECTED',
        version: 4,
        inputs: [9, 10, 11],
        outputs: [12],
        options: options('FullyConnected', byte(0)),
      },
    ],
    inputs: [0],
    outputs: [12],
  });
  return { bytes };
}

t.test('weights of 8 and 16 bits in float networks, 16-bit activations', async (t) => {
  const x = drawn(rng, [2, 3]);
  const weights = [127, -64, 3, 5, 100, -1];
  const scales = [0.01, 0.02];
  const [hybrid] = await runOne(
    runtime,
    'FULLY_CONNECTED',
    {
      inputs: [{ dims: [2, 3] }, { dims: [2, 3], type: 'int8', data: weights, scales, axis: 0 }],
      outputs: [{ dims: [2, 2] }],
      options: options('FullyConnected', byte(0)),
    },
    [x],
  );
  const wanted = [0, 1].flatMap((n) =>
    [0, 1].map((o) => [0, 1, 2].reduce((a, i) => a + x[n * 3 + i]! * weights[o * 3 + i]! * scales[o]!, 0)),
  );
  t.ok(furthest(hybrid?.values ?? [], wanted) < 1e-5);

  const halves = writeTflite({
    tensors: [
      { dims: [1, 2, 2, 1] },
      { dims: [1, 1, 2, 1], type: 'float16', data: [0x3c00, 0xc100] },
      { dims: [1, 1, 2, 1] },
      { dims: [1, 2, 2, 1] },
    ],
    operators: [
      { op: 'DEQUANTIZE', inputs: [1], outputs: [2], options: options('Dequantize') },
      conv([0, 2], 3),
    ],
    inputs: [0],
    outputs: [3],
  });
  const { graph, outputs } = await runConverted(runtime, halves, [[1, 2, 3, 4]]);
  t.same(outputs[0]?.values, [-4, 2, -7, 4]);
  t.equal([...graph.initializers.values()].find(({ dtype }) => dtype === 'float16')?.data.length, 4);

  const wide = { type: 'int16', scales: [1 / 256] };
  const [sixteen] = await runOne(
    runtime,
    'FULLY_CONNECTED',
    {
      inputs: [
        { dims: [1, 2], ...wide },
        { dims: [1, 2], type: 'int8', data: [2, -3], scales: [0.5] },
        { dims: [1], type: 'int64', data: [512], scales: [1 / 512] },
      ],
      outputs: [{ dims: [1, 1], ...wide }],
      options: options('FullyConnected', byte(0)),
    },
    [[1000, -20]],
  );
  t.same(sixteen?.values, [1000 + 30 + 256]);
});

/** gemmlowp's fixed-point product as TensorFlow Lite's reference kernels compute it, in whole numbers. */
function multiplied(x: number, quotient: number): number {
  const exponent = Math.floor(Math.log2(quotient)) + 1;
  const multiplier = BigInt(Math.round((quotient / 2 ** exponent) * 2 ** 31));
  const product = (BigInt(x) << BigInt(Math.max(0, exponent))) * multiplier;
  const nudge = product >= 0n ? 1n << 30n : 1n - (1n << 30n);
  const high = (product + nudge) / (1n << 31n);
  const right = BigInt(Math.max(0, -exponent));
  const rest = high & ((1n << right) - 1n);
  const threshold = (((1n << right) - 1n) >> 1n) + (high < 0n ? 1n : 0n);
  return Number((high >> right) + (rest > threshold ? 1n : 0n));
}

t.test('8 bits become 32 of another scale, integer for integer', async (t) => {
  const every = Array.from({ length: 256 }, (_, i) => i - 128);
  for (const [scale, wanted] of [
    [1 / 256, 1 / 2 ** 20],
    [0.5, 1],
    [0.25, 1],
    [0.3, 0.017],
    [0.017, 0.9],
    [1, 1],
  ] as const) {
    const [y] = await runOne(
      runtime,
      'QUANTIZE',
      {
        inputs: [{ dims: [256], type: 'int8', scales: [scale], zeros: [-3] }],
        outputs: [{ dims: [256], type: 'int32', scales: [wanted], zeros: [7] }],
        options: options('Quantize'),
      },
      [every],
    );
    const quotient = Math.fround(scale) / Math.fround(wanted);
    t.same(
      y?.values,
      every.map((x) => multiplied(x + 3, quotient) + 7),
      `${scale} to ${wanted}`,
    );
  }
});

t.test('what is not covered is refused by name', async (t) => {
  const vector: TensorSpec = { dims: [2] };
  const one = (
    op: string,
    more: Partial<OperatorSpec> = {},
    tensor: TensorSpec = vector,
    output = tensor,
  ): Uint8Array =>
    writeTflite({
      tensors: [tensor, output],
      operators: [{ op, inputs: [0], outputs: [1], ...more }],
      inputs: tensor.data ? [] : [0],
      outputs: [1],
    });
  const filter = constant([1, 1, 1, 1], [1]);
  const image = { dims: [1, 2, 2, 1] };
  const refused: readonly (readonly [RegExp, Uint8Array])[] = [
    [
      /operator 0 \(CUSTOM FlexErf, version 1, output t1\): the operator is not supported/,
      one('CUSTOM', { custom: 'FlexErf' }),
    ],
    [/\(SVDF, version 1/, one('SVDF')],
    [/\(RELU, version 9, output t1\): only versions 1 to 3/, one('RELU', { version: 9 })],
    [
      /option 1 of LeakyRelu is not supported/,
      one('LEAKY_RELU', { options: options('LeakyRelu', real(1), int(1)) }),
    ],
    [/element type string is not supported/, one('RELU', {}, { dims: [2], type: 'string' })],
    [
      /element type int4 is not supported/,
      one('RELU', {}, { dims: [2], type: 'int4', data: Uint8Array.of(1) }, vector),
    ],
    [/sparse tensors are not supported/, one('RELU', {}, { dims: [2], data: [1, 2], sparse: true }, vector)],
    [
      /variables are not supported/,
      writeTflite({
        tensors: [{ dims: [2], variable: true }, vector],
        operators: [{ op: 'RELU', inputs: [0], outputs: [1] }],
        inputs: [],
        outputs: [1],
      }),
    ],
    [/input 0 of int8 without scales/, one('RELU', {}, { dims: [2], type: 'int8' })],
    [/the scale 0/, one('RELU', {}, { dims: [2], type: 'int8', scales: [0], zeros: [0] })],
    [
      /scales by channel are supported for constants alone/,
      one('RELU', {}, { dims: [2], type: 'int8', scales: [1, 2], axis: 0 }),
    ],
    [
      /activation SIGN_BIT is not supported/,
      writeTflite({
        tensors: [image, filter, image],
        operators: [conv([0, 1], 2, 5)],
        inputs: [0],
        outputs: [2],
      }),
    ],
    [
      /needs a constant|needs constant/,
      writeTflite({
        tensors: [vector, ints(0), { dims: [1], type: 'int32' }],
        operators: [{ op: 'MEAN', inputs: [0, 2], outputs: [1], options: options('Reducer', byte(0)) }],
        inputs: [0, 2],
        outputs: [0],
      }),
    ],
  ];
  for (const [message, bytes] of refused)
    t.match(
      code(() => readModelFile(bytes)),
      message,
    );
  const invalid: readonly (readonly [RegExp, Uint8Array])[] = [
    [/schema has the version 2/, writeTflite({ ...block(), version: 2 })],
    [/no output/, writeTflite({ ...block(), outputs: [] })],
    [/tensor 99 of 2/, one('RELU', { inputs: [99] })],
    [/an input is listed twice/, writeTflite({ ...block(), inputs: [0, 0] })],
    [/its output has the shape \[2\], the file says \[3\]/, one('RELU', {}, vector, { dims: [3] })],
    [
      /holds 4 bytes, its shape \[2\] of float32 needs 8/,
      one('RELU', {}, { dims: [2], data: Uint8Array.of(1, 2, 3, 4) }, vector),
    ],
    [
      /is read before it is computed/,
      writeTflite({
        tensors: [vector, vector],
        operators: [{ op: 'RELU', inputs: [0], outputs: [1] }],
        inputs: [],
        outputs: [1],
      }),
    ],
    [
      /is computed twice/,
      writeTflite({
        tensors: [vector, vector],
        operators: [0, 1].map(() => ({ op: 'RELU', inputs: [0], outputs: [1] })),
        inputs: [0],
        outputs: [1],
      }),
    ],
    [/options are of the type Conv2D/, one('LEAKY_RELU', { options: options('Conv2D', byte(0)) })],
    [
      /zero point 200 outside -128 to 127/,
      one('RELU', {}, { dims: [2], type: 'int8', scales: [1], zeros: [200] }),
    ],
    [
      /a window of 5 does not fit 2/,
      writeTflite({
        tensors: [image, constant([1, 5, 5, 1], ramp([25])), image],
        operators: [{ ...conv([0, 1], 2), options: options('Conv2D', byte(1), int(1), int(1)) }],
        inputs: [0],
        outputs: [2],
      }),
    ],
  ];
  for (const [message, bytes] of invalid) {
    const told = code(() => readModelFile(bytes));
    t.match(told, message);
    t.match(told, /^TFLITE_INVALID/);
  }
});

t.test('files that are cut, altered or made to swell', async (t) => {
  const files = [
    writeTflite(block()),
    writeTflite({ ...block(), behind: true }),
    quantised('int8', 1, 127).bytes,
  ];
  const told = new Map<string, number>();
  const attempt = (bytes: Uint8Array): void => {
    const [kind] = code(() => checkNetworkLimits(readModelFile(bytes))).split(':') as [string];
    told.set(kind, (told.get(kind) ?? 0) + 1);
  };
  for (const file of files) {
    for (let length = 0; length < file.length; length += 11) attempt(file.slice(0, length));
    for (let k = 0; k < 400; k++) {
      const bytes = file.slice();
      for (let n = 0; n < 1 + (k % 4); n++) {
        const at = Math.floor(rng.next() * bytes.length);
        const far = [0xff, 0x80, 0x7f, 0, Math.floor(rng.next() * 256)];
        bytes[at] = far[Math.floor(rng.next() * far.length)] as number;
      }
      attempt(bytes);
    }
  }
  const known = [
    'TFLITE_INVALID',
    'OPERATOR_UNSUPPORTED',
    'NETWORK_TOO_LARGE',
    'ONNX_INVALID',
    'SHAPE_UNKNOWN',
    'nothing thrown',
  ];
  t.same(
    [...told.keys()].filter((kind) => !known.includes(kind)),
    [],
    JSON.stringify([...told]),
  );
  t.ok((told.get('TFLITE_INVALID') ?? 0) > 300, JSON.stringify([...told]));

  // One table stands for many, each with a long list.
  const b = new Builder(1024);
  b.startVector(4, 1000, 4);
  for (let i = 0; i < 1000; i++) b.addInt32(i);
  const list = b.endVector();
  b.startObject(1);
  b.addFieldOffset(0, list, 0);
  const table = b.endObject();
  b.startVector(4, 1000, 4);
  for (let i = 0; i < 1000; i++) b.addOffset(table);
  const tables = b.endVector();
  b.startObject(1);
  b.addFieldOffset(0, tables, 0);
  b.finish(b.endObject(), 'TFL3');
  const swollen = new FlatFile(b.asUint8Array());
  t.match(
    code(() =>
      swollen
        .root()
        .tables(0)
        .map((one) => one.ints(0)),
    ),
    /refer to the same bytes again/,
  );

  // Forty convolutions share one filter, which each would copy.
  const image = { dims: [1, 1, 1, 64] };
  const filter = constant([64, 3, 3, 64], Array(64 * 9 * 64).fill(0));
  const shared = Array.from({ length: 40 }, (): TensorSpec => ({ dims: filter.dims, shares: 1 }));
  const swelling = writeTflite({
    tensors: [image, filter, ...shared, ...Array(40).fill(image)],
    operators: Array.from({ length: 40 }, (_, i) => conv([i === 0 ? 0 : 41 + i, 2 + i], 42 + i)),
    inputs: [0],
    outputs: [81],
  });
  t.match(
    code(() => readModelFile(swelling)),
    /NETWORK_TOO_LARGE/,
  );
});
