import t from 'tap';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import { elementCount, floatTensor } from '../../daemon/network/graph.js';
import { GraphBuilder } from '../../daemon/network/graph-builder.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';
import {
  classesOf,
  compile,
  exportC,
  positionsOf,
  quantisedInput,
} from '../../firmware-bridge/compiler/index.js';
import { agreement, board, drawn } from './agreement.js';
import { constantsOf } from './networks.js';

const runtime = new SessionProcess();
t.teardown(() => runtime.stop());

type Build = (b: GraphBuilder, x: string) => string;

const along = (b: GraphBuilder, dims: readonly number[], seed = 1): string =>
  b.constant(
    `c${dims}.${seed}`,
    floatTensor(
      dims,
      Array.from({ length: elementCount(dims) }, (_, i) => ((i * 7 + seed) % 11) / 5 - 1),
    ),
  );

/** A leading axis that is not 1, before and behind everything that images and sequences can be. */
const networks: Readonly<Record<string, readonly [readonly number[], Build]>> = {
  'softmax over the middle axis': [[3, 4, 5], (b, x) => b.node('Softmax', [x], { axis: 1 })],
  'a product and a transpose': [[8, 4, 6], (b, x) => b.transpose(b.matMul(x, along(b, [6, 3])), [0, 2, 1])],
  'images through a table': [[2, 3, 4, 5], (b, x) => b.node('Sigmoid', [x])],
  'images to sequences': [[2, 3, 4, 5], (b, x) => b.reshape(b.relu(x), [2, 3, 20])],
  'three axes turned round': [[2, 3, 4], (b, x) => b.transpose(b.relu(x), [2, 1, 0])],
  'six axes turned round': [[2, 3, 2, 2, 3, 2], (b, x) => b.transpose(b.relu(x), [5, 4, 3, 2, 1, 0])],
  'five axes': [[2, 3, 2, 3, 2], (b, x) => b.relu(b.transpose(x, [0, 4, 1, 3, 2]))],
  'convolutions of a batch': [
    [3, 4, 6, 5],
    (b, x) =>
      b.conv(
        b.relu(b.conv(x, along(b, [4, 1, 3, 3]), undefined, { groups: 4 })),
        along(b, [6, 2, 3, 3]),
        along(b, [6]),
        {
          groups: 2,
        },
      ),
  ],
  'a pointwise convolution of a batch': [[3, 4, 6, 5], (b, x) => b.conv(x, along(b, [5, 4, 1, 1]))],
  'sequences of a batch': [
    [3, 4, 9],
    (b, x) =>
      b.node('AveragePool', [b.node('Conv', [x, along(b, [5, 4, 3])], { pads: [1, 1] })], {
        kernel_shape: [2],
        strides: [2],
      }),
  ],
  'pools of a batch': [
    [2, 3, 7, 7],
    (b, x) =>
      b.node('AveragePool', [b.node('MaxPool', [x], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] })], {
        kernel_shape: [2, 3],
        strides: [2, 2],
        pads: [0, 1, 1, 1],
      }),
  ],
  'zeros around a batch': [[2, 3, 4, 5], (b, x) => b.node('Pad', [x, b.ints([0, 0, 1, 2, 0, 0, 0, 1])])],
  'normalisation of vectors': [[4, 3], (b, x) => normalised(b, x)],
  'normalisation of sequences': [[2, 3, 5], (b, x) => normalised(b, x)],
  'normalisation of images': [[2, 3, 4, 5], (b, x) => normalised(b, x)],
  'normalisation of volumes': [[2, 3, 2, 2, 3], (b, x) => normalised(b, x)],
  'normalisation behind an activation': [[1, 3, 5], (b, x) => normalised(b, b.node('Tanh', [x]))],
};

const normalised: Build = (b, x) =>
  b.node('BatchNormalization', [
    x,
    ...[1, 2, 3].map((seed) => along(b, [3], seed)),
    b.constant('variance', floatTensor([3], [0.5, 1, 2])),
  ]);

t.test('values keep their places for any leading axis', async (t) => {
  for (const [name, [dims, build]] of Object.entries(networks)) {
    const b = new GraphBuilder({ name: 'ports', opset: 13 });
    b.output(build(b, b.input('x', 'float32', dims)), 'y');
    const graph = b.build();
    const inputs = [1, 2, 3, 4].map((seed) => drawn(graph, Xoshiro128.fromSeed(seed)));
    const { cosine, steps } = await agreement(name, graph, inputs, runtime);
    t.ok(cosine > 0.998, `${name}: cosine ${cosine}, ${steps} steps`);
  }
});

t.test('positions', (t) => {
  const dims = [2, 3, 2, 2];
  const at = positionsOf({ dims, layout: 'channels-last' });
  const seen = Array.from({ length: 24 }, (_, i) => at(i));
  t.same(
    [...seen].sort((a, b) => a - b),
    Array.from({ length: 24 }, (_, i) => i),
    'each place once',
  );
  t.same(
    seen,
    seen.map((_, i) => Math.floor(i / 12) * 12 + (i % 4) * 3 + (Math.floor(i / 4) % 3)),
  );
  t.equal(positionsOf({ dims: [2, 3], layout: 'row-major' })(5), 5);
  t.end();
});

t.test('what reads a port takes the same places', async (t) => {
  const b = new GraphBuilder({ name: 'batch', opset: 13 });
  const w = constantsOf(b, Xoshiro128.fromSeed(2));
  const x = b.input('x', 'float32', [2, 3, 4, 4]);
  b.output(b.relu(b.conv(x, w(5, 3, 3, 3))), 'y');
  const compiled = await compile(b.build(), { board: { ...board, fetchesInput: false }, weights: 'real' });
  const values = Float32Array.from({ length: 96 }, (_, i) => i / 48 - 1);
  const bytes = quantisedInput(compiled, values);
  const at = positionsOf(compiled.input);
  const { scale, zeroPoint } = compiled.input.quantisation;
  const off = values.map((value, i) => Math.abs(scale * ((bytes[at(i)] as number) - zeroPoint) - value));
  // Neighbours lie three steps apart.
  t.ok(Math.max(...off) < scale);
  t.equal(classesOf(compiled, values, 1).length, 1);
  const { header } = exportC(compiled, 'batch');
  t.match(header, /x: \[2,3,4,4\], held as 2 images in a row, each height, width, channels/);
});
