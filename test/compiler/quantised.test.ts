import t from 'tap';
import { toHalf } from '../../daemon/core/half.js';
import { allFromBoard, allToBoard } from '../../daemon/devices/mcu/int8-tensors.js';
import { type DType, floatTensor, type Graph, type Tensor } from '../../daemon/network/graph.js';
import { GraphBuilder } from '../../daemon/network/graph-builder.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';
import { compile, Reference } from '../../firmware-bridge/compiler/index.js';
import { exported, runExported } from '../agreement/exported-c.js';
import { buildNative, runNative } from '../firmware/runtime-driver.js';
import {
  compareQuantised,
  compileQuantised,
  noAgreement,
  rngOf,
  scalarBoard,
  widestExactWeight,
} from './compare-quantised.js';
import { answer, compiledCase, randomInput } from './compiled-case.js';
import {
  feedFor,
  PairBuilder,
  type QuantisedKind,
  quantisedKinds,
  quantisedNetwork,
} from './quantised-networks.js';
import { withIntegerOperators } from './quantised-operators.js';

const runtime = new SessionProcess();
t.teardown(() => runtime.stop());
t.setTimeout(900_000);
PairBuilder.widestWeight = await widestExactWeight(runtime);

const bytes = (values: readonly number[], dims = [values.length]): Tensor => ({
  dtype: 'int8',
  dims,
  data: new Uint8Array(Int8Array.from(values).buffer),
});

t.test('integers of a quantised network are those that onnxruntime gives', async (t) => {
  const rng = rngOf(21);
  // Ties are rounded up by a board's multipliers, to even by ONNX: see docs/compiler.md.
  const ties = (name: string): boolean => name.includes('one scale') || name.includes('powers of two');
  for (const kind of quantisedKinds) {
    const agreement = noAgreement();
    for (let i = 0; i < 6; i++) {
      const opset = [13, 17, 19, 21, 23, 25][i] as number;
      const graph = quantisedNetwork(rng, [kind], opset);
      const feeds = [feedFor(rng, graph), feedFor(rng, graph)];
      // From operator set 21 on the optimiser makes some signed pairs unsound.
      const optimisation = i % 2 && opset < 21 ? 'all' : 'disabled';
      await compareQuantised(graph, feeds, runtime, optimisation, agreement);
    }
    const { elements, equal, largest } = agreement;
    const share = equal / elements;
    t.ok(
      elements > 50 && (ties(kind.name) || (share > 0.999 && largest <= 1)),
      `${kind.name}: ${share}, ${largest}`,
    );
  }
});

t.test('several operators one behind the other', async (t) => {
  const rng = rngOf(22);
  const chain = (names: string): QuantisedKind[] =>
    names.split(', ').map((name) => quantisedKinds.find((kind) => kind.name === name) as QuantisedKind);
  const agreement = noAgreement();
  for (const names of [
    'conv, depthwise, conv, add, global average',
    'conv, max pool, grouped, concat, conv, sigmoid',
    'gemm, leaky relu, gemm, tanh, product of two, matmul',
  ])
    for (let i = 0; i < 4; i++) {
      const graph = quantisedNetwork(rng, chain(names));
      await compareQuantised(graph, [feedFor(rng, graph)], runtime, 'disabled', agreement);
    }
  t.ok(agreement.equal / agreement.elements > 0.99 && agreement.largest <= 2, JSON.stringify(agreement));
});

/** x behind a pair, then a layer of these weights, then the pair of the result. */
function layerOf(weights: readonly number[], outputs: number): Graph {
  const q = new PairBuilder(rngOf(3), 17);
  const depth = weights.length / outputs;
  const x = q.quantised(q.b.input('x', 'float32', [3, depth]), 1, { dtype: 'int8', scale: 1 / 100, zero: 5 });
  const w = q.b.node(
    'DequantizeLinear',
    [
      q.b.constant('w', bytes(weights, [outputs, depth])),
      q.b.constant('scales', floatTensor([outputs], new Array(outputs).fill(0.01))),
    ],
    { axis: 0 },
  );
  const y = q.b.node('Gemm', [x, w], { transB: 1 });
  q.b.output(q.quantised(y, 1, { dtype: 'int8', scale: 0.05, zero: -3 }), 'y');
  return q.b.build();
}

t.test('a board stores the integers that the network gives', async (t) => {
  const weights = Array.from({ length: 24 }, (_, i) => ((i * 37) % 255) - 127);
  const { schedule } = await compileQuantised(layerOf(weights, 4));
  const bodies = schedule.steps.flatMap((step) => (step.kind === 'single' ? [step.task.operator.body] : []));
  const linear = bodies.find((body) => body.kind === 'linear');
  t.same(linear?.kind === 'linear' && [...linear.constants.weights], weights);
  t.match(linear, {
    x: { scale: Math.fround(1 / 100), zeroPoint: 5 },
    y: { scale: Math.fround(0.05), zeroPoint: -3 },
  });
});

t.test('pairs of weights that fit no 16 bits lie in rows, which every core takes', async (t) => {
  const native = buildNative();
  const rng = rngOf(5);
  // -128 in an odd output beside a negative weight; and so many that their sum leaves 23 bits.
  for (const graph of [
    layerOf([-1, 5, -3, 7, -128, -128, 3, -128], 2),
    layerOf(
      new Array<number>(2 * 513).fill(0).map((_, i) => (i < 513 ? 1 : -128)),
      2,
    ),
  ]) {
    const agreement = noAgreement();
    const feed = feedFor(rng, graph);
    const low = { x: { ...feed.x, data: new Float32Array(feed.x?.data.length ?? 0).fill(-2) } };
    await compareQuantised(graph, [feed, low as typeof feed], runtime, 'disabled', agreement);
    t.ok(agreement.largest < 1, 'as onnxruntime says');
    const compiled = await compileQuantised(graph);
    const input = randomInput(rng, new Reference(compiled.program).header.inputBytes);
    const made = compiledCase('pairs', compiled, input);
    const [outcome] = runNative(native, [made]);
    const expected = made.expected[0] as { at: number; bytes: Int8Array };
    t.same(
      [...expected.bytes],
      [
        ...new Int8Array(outcome?.arena.buffer as ArrayBuffer, outcome?.arena.byteOffset).subarray(
          expected.at,
          expected.at + expected.bytes.length,
        ),
      ],
    );
  }
});

t.test('what no board can follow is named', async (t) => {
  const refuses = async (add: (q: PairBuilder, x: string) => string, message: RegExp, opset = 21) => {
    const q = new PairBuilder(rngOf(4), opset);
    q.b.output(add(q, q.b.input('x', 'float32', [2, 4])), 'y');
    await t.rejects(compileQuantised(q.b.build()), { message }, `${message}`);
  };
  const scale = (q: PairBuilder, values: readonly number[]): string =>
    q.constant([values.length], 'float32', values);
  await refuses((q, x) => {
    const parameters = [scale(q, [1, 1, 1, 1]), q.constant([4], 'int8', [0, 0, 0, 0])];
    return q.b.node('QuantizeLinear', [x, ...parameters], { axis: 1 });
  }, /node .* \(QuantizeLinear, opset \d+\) .*it has 4 scales: an activation takes one/);
  await refuses((q, x) => {
    const zero = q.b.constant('zero', { dtype: 'int16', dims: [], data: new Uint8Array(2) });
    return q.b.node('QuantizeLinear', [x, q.b.scalar(1), zero]);
  }, /quantises an activation to int16: int8 and uint8 can run/);
  await refuses((q, x) => {
    const w = q.b.constant('w', { dtype: 'int16', dims: [4, 4], data: new Uint8Array(32) });
    return q.b.matMul(x, q.b.node('DequantizeLinear', [w, q.b.scalar(1)]));
  }, /constant w has the type int16/);
  await refuses((q, x) => {
    const w = q.constant([4, 4], 'int8', new Array(16).fill(1));
    const blocks = q.constant([2, 4], 'float32', new Array(8).fill(1));
    return q.b.matMul(x, q.b.node('DequantizeLinear', [w, blocks], { axis: 0, block_size: 2 }));
  }, /a scale for each block \(block_size 2\)/);
  await refuses((q, x) => {
    const w = q.constant([4, 4], 'int8', new Array(16).fill(1));
    const real = q.b.node('DequantizeLinear', [w, scale(q, [1, 2, 3, 4])], { axis: 0 });
    return q.quantised(q.b.matMul(q.quantised(x, 1), real), 1);
  }, /a scale for each place along axis 0: one for each output can run/);
  await refuses((q, x) => {
    const integers = q.b.node('QuantizeLinear', [x, ...q.parameters('int8', 1)]);
    return q.b.add(integers, integers);
  }, /\(Add, opset \d+\) cannot run on a board: its input .* has the type int8/);
  await refuses((q, x) => q.b.node('QuantizeLinear', [x, q.b.node('ReduceMax', [x])]), /constant scale/, 13);
});

t.test('a value without a pair takes a calibrated range, the others keep theirs', async (t) => {
  const q = new PairBuilder(rngOf(6), 17);
  const x = q.quantised(q.b.input('x', 'float32', [1, 3, 4, 4]), 1, { dtype: 'int8', scale: 0.02, zero: 1 });
  const free = q.b.node('Tanh', [q.b.mul(x, q.b.node('Sigmoid', [x]))]);
  q.b.output(q.quantised(free, 1, { dtype: 'uint8', scale: 0.01, zero: 100 }), 'y');
  const graph = q.b.build();
  const asked: string[] = [];
  const compiled = await compile(graph, {
    board: scalarBoard,
    weights: 'real',
    calibration: async (_, values) => {
      asked.push(...values);
      return new Map(values.map((value) => [value, { min: -1, max: 1 }]));
    },
  });
  t.same(asked.length, 1, `the swish alone: ${asked}`);
  t.match(compiled.input.quantisation, { scale: Math.fround(0.02), zeroPoint: 1 });
  t.match(compiled.output.quantisation, { scale: Math.fround(0.01), zeroPoint: -28 });
});

t.test('half, brain and double precision run as float32 does', async (t) => {
  for (const dtype of ['float16', 'bfloat16', 'float64'] as const) {
    const values = [0.5, -1.25, 2, 0.75, -0.5, 1];
    const data =
      dtype === 'float64'
        ? new Uint8Array(Float64Array.from(values).buffer)
        : new Uint8Array(
            Uint16Array.from(values, (v) =>
              dtype === 'float16'
                ? toHalf(v)
                : (new Uint32Array(Float32Array.of(v).buffer)[0] as number) >>> 16,
            ).buffer,
          );
    const made = async (type: DType, weights: Tensor, to: number) => {
      const b = new GraphBuilder({ name: 'precision' });
      const x = b.node('Cast', [b.input('x', type, [2, 3])], { to });
      b.output(b.node('Cast', [b.relu(b.matMul(x, b.constant('w', weights)))], { to: 1 }), 'y');
      return compile(b.build(), {
        board: scalarBoard,
        weights: 'real',
        calibration: async (_, names) => new Map(names.map((name) => [name, { min: -4, max: 4 }])),
      });
    };
    const other = await made(
      dtype,
      { dtype, dims: [3, 2], data },
      { float16: 10, bfloat16: 16, float64: 11 }[dtype],
    );
    const single = await made('float32', floatTensor([3, 2], values), 1);
    t.same(other.program, single.program, dtype);
    t.equal(other.input.dtype, dtype);
  }
});

t.test('bytes and int32 pass ports as they are', async (t) => {
  const b = new GraphBuilder({ name: 'ports' });
  const image = b.node('Cast', [b.input('image', 'uint8', [1, 2, 2, 2])], { to: 1 });
  b.output(b.node('Cast', [b.relu(b.add(image, b.scalar(-100)))], { to: 2 }), 'bright');
  const ids = b.input('ids', 'int64', [2, 3]);
  b.output(b.transpose(ids, [1, 0]), 'turned');
  b.output(b.node('Cast', [b.input('mask', 'bool', [3])], { to: 3 }), 'flags');
  const compiled = await compile(b.build(), {
    board: scalarBoard,
    weights: 'real',
    calibration: async (_, names) => new Map(names.map((name) => [name, { min: -128, max: 127 }])),
  });
  const tensor = (dims: number[], values: readonly number[]) => ({ dims, data: Float32Array.from(values) });
  const inputs = {
    image: tensor([1, 2, 2, 2], [0, 100, 101, 227, 255, 150, 3, 99]),
    ids: tensor([2, 3], [7, -1, 100_000, 2 ** 24, 0, -(2 ** 24)]),
    mask: tensor([3], [1, 0, 1]),
  };
  const answers = allFromBoard(
    new Reference(compiled.program).run(allToBoard(inputs, compiled.inputs)),
    compiled.outputs,
  );
  t.same([...(answers.bright?.data ?? [])], [0, 0, 1, 127, 127, 50, 0, 0]);
  t.same([...(answers.turned?.data ?? [])], [7, 2 ** 24, -1, 0, 100_000, -(2 ** 24)]);
  t.same([...(answers.flags?.data ?? [])], [1, 0, 1]);
  t.match(compiled.outputs, [{ dtype: 'uint8' }, { dtype: 'int64', elementBytes: 4 }, { dtype: 'int8' }]);
  const bad = { ...inputs, image: tensor([1, 2, 2, 2], [0, 1, 2, 300, 4, 5, 6, 7]) };
  t.throws(() => allToBoard(bad, compiled.inputs), {
    code: 'REQUEST_INVALID',
    message: /"image" takes whole numbers from 0 to 255 \(uint8\), element 3 is 300/,
  });
});

t.test('what a mean or a product of pairs has between two steps is kept', async (t) => {
  // Both ranges are far below one step of their operands: whole and half steps of 0.25, and their product's of 0.0625.
  const b = new GraphBuilder({ name: 'halves', opset: 13 });
  const [scale, zero] = [b.scalar(0.25), b.constant('zero', bytes([0], []))];
  const pair = (x: string): string =>
    b.node('DequantizeLinear', [b.node('QuantizeLinear', [x, scale, zero]), scale, zero]);
  const x = pair(b.input('x', 'float32', [1, 1, 2, 4]));
  const mean = b.node('ReduceMean', [x], { axes: [2], keepdims: 1 });
  b.output(b.node('Sub', [x, mean]), 'left');
  b.output(b.node('Mul', [x, x]), 'squared');
  const given = [0, 0.25, 0.5, 0, 0.25, 0, 0.25, -0.25];
  const [left, squared] = [
    [-0.125, 0.125, 0.125, 0.125, 0.125, -0.125, -0.125, -0.125],
    given.map((value) => value * value),
  ];
  const span = (min: number, max: number) => ({ min, max });
  const ranges = new Map([
    ['x', span(-0.25, 0.5)],
    ['left', span(-0.125, 0.125)],
    ['squared', span(0, 0.25)],
  ]);
  const compiled = await compile(b.build(), {
    board: scalarBoard,
    weights: 'real',
    calibration: async (_, names) =>
      new Map(names.map((name) => [name, ranges.get(name) ?? span(-0.125, 0.375)])),
  });
  const inputs = { x: { dims: [1, 1, 2, 4], data: Float32Array.from(given) } };
  const answers = allFromBoard(
    new Reference(compiled.program).run(allToBoard(inputs, compiled.inputs)),
    compiled.outputs,
  );
  for (const [name, wanted] of Object.entries({ left, squared }))
    for (const [i, value] of wanted.entries())
      t.ok(
        Math.abs((answers[name]?.data[i] as number) - value) < 0.002,
        `${name} ${i}: ${answers[name]?.data[i]}`,
      );
});

t.test('operators on integers are those between pairs', async (t) => {
  const rng = rngOf(31);
  const agreement = noAgreement();
  const kinds = quantisedKinds.filter(({ name }) => !/moved|tanh|max|one scale|powers/.test(name));
  let spelt = 0;
  for (const [i, kind] of [...kinds, ...kinds].entries()) {
    const graph = quantisedNetwork(rng, [kind], 17, i < kinds.length ? 'int8' : 'uint8');
    const other = withIntegerOperators(graph);
    if (other.nodes.every(({ op }) => !op.startsWith('QLinear') && op !== 'QGemm')) continue;
    spelt++;
    const [a, b] = [await compileQuantised(graph), await compileQuantised(other)];
    t.same(b.program, a.program, `${kind.name}: ${other.nodes.map(({ op }) => op)}`);
    await compareQuantised(other, [feedFor(rng, other)], runtime, 'all', agreement);
  }
  t.ok(spelt > 12, `${spelt} networks`);
  t.ok(agreement.equal / agreement.elements > 0.995 && agreement.largest <= 1, JSON.stringify(agreement));
});

t.test('sums of integers that a factor makes real', async (t) => {
  const rng = rngOf(32);
  const q = new PairBuilder(rng, 17);
  const x = q.b.input('x', 'uint8', [3, 8]);
  const sums = q.b.node('MatMulInteger', [
    x,
    q.constant([8, 4], 'int8', q.signedWeights(32)),
    q.constant([], 'uint8', [117]),
    q.constant([], 'int8', [0]),
  ]);
  const real = q.b.mul(q.b.node('Cast', [sums], { to: 1 }), q.constant([], 'float32', [0.0003]));
  q.b.output(
    q.b.node('QuantizeLinear', [
      q.b.add(real, q.constant([4], 'float32', [1, 2, -3, 0.5])),
      ...q.parameters('int8', 0.21),
    ]),
    'y',
  );
  const graph = q.b.build();
  const agreement = noAgreement();
  await compareQuantised(
    graph,
    Array.from({ length: 8 }, () => feedFor(rng, graph)),
    runtime,
    'disabled',
    agreement,
  );
  t.same(agreement, { elements: 96, equal: 96, largest: 0 });
});

t.test('what depends on the data of a run is named', async (t) => {
  const b = new GraphBuilder({ name: 'dynamic' });
  const node = {
    name: 'live',
    op: 'DynamicQuantizeLinear',
    domain: '',
    inputs: ['x'],
    outputs: ['q', 's', 'z'],
    attributes: {},
  };
  b.output(b.relu(b.input('x', 'float32', [2, 4])), 'y');
  const graph = b.build();
  await t.rejects(compileQuantised({ ...graph, nodes: [node, ...graph.nodes] }), {
    code: 'OPERATOR_UNSUPPORTED',
    message:
      /node live \(DynamicQuantizeLinear, opset \d+\) .* its scale is found anew from the data of each run/,
  });
});

t.test('exported C takes and gives uint8 as it is', async (t) => {
  const rng = rngOf(33);
  const graph = quantisedNetwork(rng, [quantisedKinds[0] as QuantisedKind], 17, 'uint8');
  const compiled = await compileQuantised(graph);
  const input = randomInput(rng, new Reference(compiled.program).header.inputBytes);
  const made = exported('uint8', { compiled, input, output: answer(compiled, input) });
  t.notSame(made.output, answer(compiled, input));
  t.match(made.header, /uint8, the bytes as they are/);
  t.same(await runExported([made]), [{ name: 'uint8', fault: '' }]);
  // A network that answers otherwise is told, and those behind it are still run.
  const altered = {
    ...made,
    name: 'altered',
    output: made.output.map((byte, i) => (i === 1 ? byte ^ 1 : byte)),
  };
  const verdicts = await runExported([made, altered, altered, { ...made, name: 'last' }]);
  t.same(
    verdicts.map(({ name, fault }) => [name, /^run 1: byte 1 is -?\d+ for -?\d+\n$/.test(fault) || fault]),
    [
      ['uint8', ''],
      ['altered', true],
      ['altered', true],
      ['last', ''],
    ],
  );
});
