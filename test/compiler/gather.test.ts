import t from 'tap';
import { randomInt, Xoshiro128 } from '../../daemon/core/rng.js';
import { allFromBoard, allToBoard } from '../../daemon/devices/mcu/int8-tensors.js';
import {
  elementCount,
  floatTensor,
  type Graph,
  int64Tensor,
  type Tensor,
} from '../../daemon/network/graph.js';
import { GraphBuilder } from '../../daemon/network/graph-builder.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';
import { valueRanges } from '../../daemon/runtime/value-ranges.js';
import { compile, Reference } from '../../firmware-bridge/compiler/index.js';
import { buildNative, runNative } from '../firmware/runtime-driver.js';
import { compileQuantised, scalarBoard } from './compare-quantised.js';
import { compiledCase } from './compiled-case.js';
import { PairBuilder } from './quantised-networks.js';

/** Gather against onnxruntime, and the C runtime against the reference. Whole numbers in steps of one: int8 is exact. */
const { signal } = new AbortController();
const runtime = new SessionProcess();
t.teardown(() => runtime.stop());
t.setTimeout(900_000);
const native = buildNative();
const rng = Xoshiro128.fromSeed(8);

/** Answers of a board and of onnxruntime to the same integers. */
async function both(graph: Graph, feeds: Readonly<Record<string, readonly number[]>>) {
  const sizes = (name: string): number[] =>
    graph.inputs.find((input) => input.name === name)?.dims as number[];
  const reals = Object.fromEntries(
    Object.entries(feeds).map(([name, values]) => [
      name,
      { dims: sizes(name), data: Float32Array.from(values) },
    ]),
  );
  const typed = Object.fromEntries(
    graph.inputs.map(({ name, dtype }) => {
      const values = feeds[name] as readonly number[];
      const data =
        dtype === 'int64'
          ? BigInt64Array.from(values, BigInt)
          : dtype === 'int32'
            ? Int32Array.from(values)
            : Float32Array.from(values);
      return [name, { type: dtype as 'int64' | 'int32' | 'float32', dims: sizes(name), data }];
    }),
  );
  const compiled = await compile(graph, {
    board: scalarBoard,
    weights: 'real',
    calibration: async (_, names) => new Map(names.map((name) => [name, { min: -128, max: 127 }])),
  });
  const input = allToBoard(reals, compiled.inputs);
  const given = allFromBoard(new Reference(compiled.program).run(input), compiled.outputs);
  const made = compiledCase(graph.name, compiled, input);
  const [outcome] = runNative(native, [made]);
  const { at, bytes } = made.expected[0] as { at: number; bytes: Int8Array };
  const inC = [...bytes].every((byte, i) => byte === outcome?.arena[at + i]) && outcome?.runError === 0;
  const { handle } = await runtime.load(writeOnnx(graph), {}, { signal });
  const wanted = await runtime.run(handle, typed, {}, { signal });
  await runtime.release(handle, { signal });
  const [name] = Object.keys(wanted) as [string];
  const numbers = (of: { dims: readonly number[]; data: ArrayLike<unknown> } | undefined) => [
    ...(of?.dims ?? []),
    ...Array.from(of?.data ?? [], Number),
  ];
  return { inC, given: numbers(given[name]), wanted: numbers(wanted[name] as never), compiled };
}

const counting = (dims: readonly number[]): number[] =>
  Array.from({ length: elementCount(dims) }, () => randomInt(rng, 256) - 128);

t.test('rows of tables by indices of any integer type, along any axis', async (t) => {
  const cases: readonly (readonly [
    table: number[],
    axis: number,
    indices: number[],
    type: 'int64' | 'int32',
  ])[] = [
    [[7, 5], 0, [4], 'int64'],
    [[300, 4], 0, [2, 3], 'int32'],
    [[3, 6], 1, [5], 'int64'],
    [[2, 4, 3], -2, [2, 2], 'int64'],
    [[9], 0, [3], 'int32'],
    [[4, 2, 3, 2], 0, [1], 'int64'],
  ];
  for (const [dims, axis, indexDims, type] of cases) {
    const b = new GraphBuilder({ name: 'table' });
    const ids = b.input('ids', type, indexDims);
    b.output(b.node('Gather', [b.constant('table', floatTensor(dims, counting(dims))), ids], { axis }), 'y');
    const rows = dims.at(axis) as number;
    const drawn = Array.from({ length: elementCount(indexDims) }, () => randomInt(rng, 2 * rows) - rows);
    const { given, wanted, inC } = await both(b.build(), { ids: drawn });
    t.same(given, wanted, `[${dims}] axis ${axis} by [${indexDims}]`);
    t.ok(inC, 'in C too');
  }
});

t.test('tables of integers, and indices that go through other operators', async (t) => {
  const b = new GraphBuilder({ name: 'through' });
  const table: Tensor = int64Tensor(
    Array.from({ length: 12 }, (_, i) => 1000 * i - 5),
    [6, 2],
  );
  const ids = b.node('Cast', [b.transpose(b.input('ids', 'int32', [2, 3]), [1, 0])], { to: 7 });
  const second = b.node('Gather', [
    b.constant('next', int64Tensor([5, 4, 3, 2, 1, 0])),
    b.slice(ids, 0, 1, 3),
  ]);
  b.output(b.node('Gather', [b.constant('table', table), second]), 'y');
  const { given, wanted, inC, compiled } = await both(b.build(), { ids: [0, 1, -1, 5, 3, 2] });
  t.same(given, wanted);
  t.ok(inC);
  t.match(compiled.outputs, [{ dtype: 'int64', elementBytes: 4 }]);
});

t.test('constant indices choose: one, a run, every second, any order', async (t) => {
  const cases: readonly (readonly [dims: number[], axis: number, indices: Tensor])[] = [
    [[1, 5, 8], 1, int64Tensor([0], [])],
    [[1, 3, 4, 5], 1, int64Tensor([2], [])],
    [[3, 2, 4], 0, int64Tensor([-1], [])],
    [[1, 6, 4], 1, int64Tensor([1, 2, 3])],
    [[1, 6, 4], -1, int64Tensor([1, 3])],
    [[1, 6, 4], 1, int64Tensor([5, 0, 0, 2, 4, 1])],
    [[1, 4, 3, 3], 1, int64Tensor([3, 1, 2])],
    [[2, 5], 1, int64Tensor([0, 1, 4, 2], [2, 2])],
  ];
  for (const [dims, axis, indices] of cases) {
    const b = new GraphBuilder({ name: 'chosen' });
    const x = b.input('x', 'float32', dims);
    b.output(b.relu(b.node('Gather', [x, b.constant('at', indices)], { axis })), 'y');
    const { given, wanted, inC } = await both(b.build(), { x: counting(dims) });
    t.same(given, wanted, `[${dims}] axis ${axis} at [${indices.dims}]`);
    t.ok(inC);
  }
});

t.test('a quantised table keeps its integers; an index outside ends the run', async (t) => {
  const q = new PairBuilder(Xoshiro128.fromSeed(3), 17);
  const whole = Array.from({ length: 20 }, (_, i) => 13 * i - 128);
  const scale = q.constant([], 'float32', [0.05]);
  const zero = q.constant([], 'int8', [3]);
  const table = q.b.node('DequantizeLinear', [q.constant([5, 4], 'int8', whole), scale, zero]);
  const ids = q.b.input('ids', 'int64', [2]);
  q.b.output(q.b.node('QuantizeLinear', [q.b.node('Gather', [table, ids]), scale, zero]), 'y');
  const compiled = await compileQuantised(q.b.build());
  const run = (values: number[]) => {
    const bytes = allToBoard({ ids: { dims: [2], data: Float32Array.from(values) } }, compiled.inputs);
    return [...(allFromBoard(new Reference(compiled.program).run(bytes), compiled.outputs).y?.data ?? [])];
  };
  t.same(run([4, -5]), [...whole.slice(16), ...whole.slice(0, 4)]);
  t.throws(() => run([0, 5]), { code: 'REQUEST_INVALID', message: /index 5 lies outside a table of 5 rows/ });
});

t.test('an embedding of tokens is calibrated with indices that exist', async (t) => {
  const b = new GraphBuilder({ name: 'tokens' });
  const table = b.constant(
    'table',
    floatTensor(
      [50, 8],
      counting([50, 8]).map((v) => v / 100),
    ),
  );
  const rows = b.node('Gather', [table, b.input('ids', 'int64', [1, 6])]);
  b.output(
    b.reduceMean(
      b.matMul(
        rows,
        b.constant(
          'w',
          floatTensor(
            [8, 3],
            counting([8, 3]).map((v) => v / 100),
          ),
        ),
      ),
      [1],
      0,
    ),
    'y',
  );
  const graph = b.build();
  const feeds = Array.from({ length: 4 }, () => ({
    ids: {
      type: 'int64' as const,
      dims: [1, 6],
      data: BigInt64Array.from({ length: 6 }, () => BigInt(randomInt(rng, 50))),
    },
  }));
  const compiled = await compile(graph, {
    board: scalarBoard,
    weights: 'real',
    calibration: (g, values) => valueRanges(g, values, feeds, runtime, { signal }),
  });
  const { handle } = await runtime.load(writeOnnx(graph), {}, { signal });
  for (const feed of feeds) {
    const wanted = (await runtime.run(handle, feed, {}, { signal })).y?.data as Float32Array;
    const bytes = allToBoard(
      { ids: { dims: [1, 6], data: Float32Array.from(feed.ids.data, Number) } },
      compiled.inputs,
    );
    const given = allFromBoard(new Reference(compiled.program).run(bytes), compiled.outputs).y?.data ?? [];
    wanted.forEach(
      (value, i) => void t.ok(Math.abs(value - (given[i] as number)) < 0.05, `${value} ${given[i]}`),
    );
  }
});
