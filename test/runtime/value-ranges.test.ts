import t from 'tap';
import { toHalf } from '../../daemon/core/half.js';
import { calibrateOn } from '../../daemon/devices/mcu/calibrate.js';
import { floatTensor, type Graph } from '../../daemon/network/graph.js';
import { GraphBuilder } from '../../daemon/network/graph-builder.js';
import { indexBound } from '../../daemon/runtime/input-hints.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';
import { valueRanges } from '../../daemon/runtime/value-ranges.js';

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
    t.same(Object.fromEntries(ranges), {
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
