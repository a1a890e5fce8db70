import t from 'tap';
import { type HildaError, toErrorDocument } from '../../daemon/core/errors.js';
import { toHalf } from '../../daemon/core/half.js';
import { calibrateOn } from '../../daemon/devices/mcu/calibrate.js';
import { calibratingOf } from '../../daemon/jobs/materials.js';
import { floatTensor, type Graph } from '../../daemon/network/graph.js';
import { GraphBuilder } from '../../daemon/network/graph-builder.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import { indexBound } from '../../daemon/runtime/input-hints.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';
import { valueRanges } from '../../daemon/runtime/value-ranges.js';
import { compile } from '../../firmware-bridge/compiler/index.js';
import { scalarBoard } from '../compiler/compare-quantised.js';

const { signal } = new AbortController();
const runtime = new SessionProcess();
t.teardown(() => runtime.stop());

/** Ids into a table of five rows, a mask, an image of bytes and halves, and names that a calibration might make up. */
function mixed(): Graph {
  const b = new GraphBuilder({ name: 'mixed' });
  const table = b.constant('table', floatTensor([5, 2], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]));
  const rows = b.node(
    'Gather',
    [table, b.node('Cast', [b.input('ids', 'int32', [3])], { to: 7 })],
    {},
    { name: 'least.0' },
  );
  const image = b.node('Cast', [b.input('image', 'uint8', [3, 2])], { to: 1 }, { name: 'real.1' });
  const half = b.node('Cast', [b.input('half', 'float16', [3, 2])], { to: 1 }, { name: 'most.1' });
  const masked = b.node('Where', [b.input('mask', 'bool', [3, 1]), rows, image]);
  b.output(b.add(masked, half), 'y');
  return b.build();
}

t.test('ranges of values of every type, with feeds of each input', async (t) => {
  const graph = mixed();
  const feeds = {
    ids: { type: 'int32' as const, dims: [3], data: Int32Array.of(4, 0, 2) },
    mask: { type: 'bool' as const, dims: [3, 1], data: Uint8Array.of(1, 0, 1) },
    image: { type: 'uint8' as const, dims: [3, 2], data: Uint8Array.of(0, 9, 200, 100, 7, 8) },
    // Given in another precision than the network takes.
    half: { type: 'float32' as const, dims: [3, 2], data: Float32Array.of(0.5, -1, 0, 0, 0, 2) },
  };
  const values = ['ids', 'mask', 'image', 'half', 'least.0', 'real.1', 'most.1', 'y', 'nothing'];
  const ranges = await valueRanges(graph, values, [feeds], runtime, { signal });
  t.same(Object.fromEntries(ranges), {
    ids: { min: 0, max: 4 },
    mask: { min: 0, max: 1 },
    image: { min: 0, max: 200 },
    half: { min: -1, max: 2 },
    'least.0': { min: 0, max: 9 },
    'real.1': { min: 0, max: 200 },
    'most.1': { min: -1, max: 2 },
    y: { min: 4, max: 200 },
  });
  const halves = {
    ...feeds,
    half: { type: 'float16' as const, dims: [3, 2], data: Uint16Array.from([0.5, -1, 0, 0, 0, 2], toHalf) },
  };
  t.same(await valueRanges(graph, values, [halves], runtime, { signal }), ranges);
});

t.test('ranges and means of channels, in every way that operator sets give axes', async (t) => {
  for (const opset of [13, 17, 18, 21]) {
    const b = new GraphBuilder({ name: 'channels', opset });
    b.output(b.relu(b.input('x', 'float32', [1, 2, 3])), 'y');
    const feeds = [
      [-1, 2, 5, 0, -3, 0],
      [-7, 4, 3, 3, 0, 0],
    ].map((data) => ({ x: { type: 'float32' as const, dims: [1, 2, 3], data: Float32Array.from(data) } }));
    const channels = new Map([
      ['x', 1],
      ['Relu_0', 2],
    ]);
    const ranges = await valueRanges(b.build(), ['x'], feeds, runtime, { signal, channels });
    // 12 elements of x and of y, each in its part of 512.
    for (const [name, at] of [
      ['x', Math.floor((512 * (4 + 7)) / 12)],
      ['Relu_0', Math.floor((512 * 4) / 5)],
    ] as const) {
      const counts = ranges.get(name)?.histogram ?? [];
      t.same([counts.reduce((a, b) => a + b, 0), counts[at]], [12, 1], name);
    }
    const bare = [...ranges].map(([name, { histogram: _, ...range }]) => [name, range] as const);
    t.same(Object.fromEntries(bare), {
      x: { min: -7, max: 5, channels: { axis: 1, min: [-7, -3], max: [5, 3], mean: [1, 0] } },
      Relu_0: { min: 0, max: 5, channels: { axis: 2, min: [0, 0, 0], max: [3, 4, 5], mean: [0.75, 1.5, 2] } },
    });
  }
});

t.test('random inputs are valid indices, bytes and truth values', async (t) => {
  const graph = mixed();
  t.equal(indexBound(graph, 'ids'), 5);
  t.equal(indexBound(graph, 'image'), undefined);
  const random = await calibrateOn({}, signal).ranges(graph, ['ids', 'image', 'mask', 'half']);
  t.same(random.get('ids'), { min: 0, max: 4 });
  t.same(random.get('mask'), { min: 0, max: 1 });
  t.ok((random.get('image')?.max ?? 0) > 200 && (random.get('half')?.max ?? 2) <= 1);
  const bound = { ...graph, feeds: new Map([['ids', { low: 1, high: 2 }]]) };
  t.same((await calibrateOn({}, signal).ranges(bound, ['ids'])).get('ids'), { min: 1, max: 2 });
});

t.test('nothing to look at, layers with the batch first, and a refused node without a name', async (t) => {
  t.equal((await valueRanges(mixed(), ['nothing'], [], runtime, { signal })).size, 0);

  const layer = (layout: number): Graph => {
    const b = new GraphBuilder({ name: 'layers', opset: 14 });
    const [batch, steps, width, units] = [2, 3, 4, 5];
    const weights = (dims: number[]) =>
      floatTensor(
        dims,
        Array.from({ length: dims.reduce((a, c) => a * c, 1) }, (_, i) => Math.sin(i)),
      );
    const place = (time: number[], first: number[]): number[] => (layout === 1 ? first : time);
    const x = b.input('x', 'float32', place([steps, batch, width], [batch, steps, width]));
    const h = b.input('h', 'float32', place([1, batch, units], [batch, 1, units]));
    const w = b.constant('w', weights([1, 3 * units, width]));
    const r = b.constant('r', weights([1, 3 * units, units]));
    const y = b.node('GRU', [x, w, r, '', '', h], { hidden_size: units, layout }, { name: 'y' });
    b.output(y, 'out');
    return b.build();
  };
  const values = [...Array(24).keys()].map((i) => Math.cos(i));
  // The same numbers, once by time and once by sequence.
  const byTime = Array.from({ length: 24 }, (_, i) => {
    const [step, at, k] = [Math.floor(i / 8), Math.floor(i / 4) % 2, i % 4];
    return values[(at * 3 + step) * 4 + k] as number;
  });
  const tensor = (dims: number[], data: number[]) => ({
    type: 'float32' as const,
    dims,
    data: Float32Array.from(data),
  });
  const state = [...Array(10).keys()].map((i) => Math.sin(3 * i));
  const seen = async (layout: number, x: ReturnType<typeof tensor>, h: ReturnType<typeof tensor>) =>
    (await valueRanges(layer(layout), ['y'], [{ x, h }], runtime, { signal })).get('y');
  t.same(
    await seen(1, tensor([2, 3, 4], values), tensor([2, 1, 5], state)),
    await seen(0, tensor([3, 2, 4], byTime), tensor([1, 2, 5], state)),
  );

  const b = new GraphBuilder({ name: 'nameless', opset: 15 });
  const x = b.input('x', 'float32', [2]);
  const power = b.node('Pow', [b.relu(x), b.input('n', 'uint32', [2])], {}, { name: 'power' });
  b.output(power, 'y');
  const graph = b.build();
  const nameless = { ...graph, nodes: graph.nodes.map((node) => ({ ...node, name: '' })) };
  await t.rejects(valueRanges(nameless, ['power'], [], runtime, { signal }), {
    code: 'NETWORK_REJECTED',
    message: /^node power \(Pow, opset 15\): /,
    details: { node: 'power', operator: 'Pow', opset: 15 },
  });
});

t.test('a request without examples is calibrated on random values', async (t) => {
  const graph = mixed();
  const places = { models: undefined, blobs: undefined } as never;
  for (const inputs of [null, { examples: [] }]) {
    const { ranges, description } = calibrateOn(await calibratingOf(inputs, graph, places), signal);
    const found = await ranges(graph, ['ids', 'y']);
    t.equal(description, 'random values');
    t.match(found.get('ids'), { min: 0, max: 4 });
    t.ok([...found.values()].every(({ min, max }) => Number.isFinite(min) && Number.isFinite(max)));
  }
  await t.rejects(valueRanges(graph, ['y'], [], runtime, { signal }), { code: 'REQUEST_INVALID' });
});

t.test("a sound network that onnxruntime's optimiser makes unsound", async (t) => {
  // A signed pair in front of what only moves elements; the optimiser moves it, and its types no longer fit (opset 21 on).
  const b = new GraphBuilder({ name: 'moved', opset: 21 });
  const parameters = [
    b.constant('scale', floatTensor([], [0.5])),
    b.constant('zero', { dtype: 'int8', dims: [], data: Uint8Array.of(3) }),
  ];
  const q = b.node('QuantizeLinear', [b.input('x', 'float32', [1, 4]), ...parameters]);
  const d = b.node('DequantizeLinear', [q, ...parameters], {}, { name: 'd' });
  b.output(b.node('Relu', [b.reshape(d, [4])]), 'y');
  const graph = b.build();
  await t.rejects(runtime.load(writeOnnx(graph), {}, { signal }), { code: 'NETWORK_REJECTED' });
  const feed = { x: { type: 'float32' as const, dims: [1, 4], data: Float32Array.of(-9.2, 0, 1.3, 99) } };
  const ranges = await valueRanges(graph, ['d', 'y'], [feed], runtime, { signal });
  t.same(Object.fromEntries(ranges), { d: { min: -9, max: 62 }, y: { min: 0, max: 62 } });
});

t.test('a range that is not finite is told, with its ends', async (t) => {
  const b = new GraphBuilder({ name: 'endless' });
  b.output(b.node('Exp', [b.node('Mul', [b.input('x', 'float32', [4]), b.input('k', 'float32', [])])]), 'y');
  const graph = b.build();
  const feed = {
    x: { type: 'float32' as const, dims: [4], data: Float32Array.of(1, 2, 3, 400) },
    k: { type: 'float32' as const, dims: [], data: Float32Array.of(1) },
  };
  const refusal = await compile(graph, {
    board: scalarBoard,
    weights: 'real',
    calibration: (network, values, channels) =>
      valueRanges(network, values, [feed], runtime, { signal, channels }),
  }).catch((error: unknown) => error);
  t.match(toErrorDocument(refusal as HildaError), {
    code: 'QUANTISATION_FAILED',
    details: { value: 'y', range: { max: 'Infinity' } },
  });
});
