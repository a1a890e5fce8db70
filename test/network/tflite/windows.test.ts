import t from 'tap';
import { Xoshiro128 } from '../../../daemon/core/rng.js';
import { SessionProcess } from '../../../daemon/runtime/session-process.js';
import {
  activations,
  convolution,
  type Dims4,
  depthwise,
  place,
  pooled,
  transposed,
  type Windows,
} from './nhwc-loops.js';
import {
  byte,
  constant,
  count,
  drawn,
  furthest,
  int,
  ints,
  options,
  runConverted,
  runOne,
} from './run-converted.js';
import { writeTflite } from './write-tflite.js';

const runtime = new SessionProcess();
t.teardown(() => runtime.stop());
t.setTimeout(300_000);

const rng = Xoshiro128.fromSeed(71);
const among = (low: number, high: number): number => low + Math.floor(rng.next() * (high - low + 1));
const flag = (): boolean => rng.next() < 0.5;

/** Windows that fit an image of 5 to 9 positions a side; whole strides and dilations, both paddings. */
const drawnWindows = (dilated: boolean): Windows => ({
  same: flag(),
  kernel: [among(1, 3), among(1, 3)],
  strides: [among(1, 3), among(1, 3)],
  dilations: dilated && flag() ? [among(1, 2), among(1, 2)] : [1, 1],
});
const image = (): Dims4 => [among(1, 2), among(5, 9), among(5, 9), among(1, 5)];
const sized = (windows: Windows, [batch, height, width]: Dims4, channels: number): Dims4 => [
  batch,
  place(windows, height, 0).out,
  place(windows, width, 1).out,
  channels,
];
const strided = ({ same, strides: [down, across] }: Windows) =>
  [byte(same ? 0 : 1), int(across), int(down)] as const;
const dilated = ({ dilations: [down, across] }: Windows) => [int(across), int(down)] as const;

t.test('convolutions and pools equal loops over images with the channels last', async (t) => {
  const worst = { conv: 0, depthwise: 0, pool: 0, transposed: 0 };
  for (let k = 0; k < 24; k++) {
    const [windows, dims, activation] = [drawnWindows(true), image(), among(0, 3)];
    const act = activations[activation] as (x: number) => number;
    const groups = flag() ? dims[3] : 1;
    const out = groups * among(1, 3);
    const shape: Dims4 = [out, ...windows.kernel, dims[3] / groups];
    const [x, w, b] = [drawn(rng, dims), drawn(rng, shape), drawn(rng, [out])];
    const [y] = await runOne(
      runtime,
      'CONV_2D',
      {
        inputs: [{ dims }, constant(shape, w), ...(k % 4 ? [constant([out], b)] : [])],
        outputs: [{ dims: sized(windows, dims, out) }],
        options: options('Conv2D', ...strided(windows), byte(activation), ...dilated(windows)),
      },
      [x],
    );
    const wanted = convolution(windows, x, dims, w, shape, k % 4 ? b : []).map(act);
    worst.conv = Math.max(worst.conv, furthest(y?.values ?? [], wanted));

    const multiplier = among(1, 2);
    const deep: Dims4 = [1, ...windows.kernel, dims[3] * multiplier];
    const [v, c] = [drawn(rng, deep), drawn(rng, [deep[3]])];
    const [z] = await runOne(
      runtime,
      'DEPTHWISE_CONV_2D',
      {
        inputs: [{ dims }, constant(deep, v), constant([deep[3]], c)],
        outputs: [{ dims: sized(windows, dims, deep[3]) }],
        options: options(
          'DepthwiseConv2D',
          ...strided(windows),
          int(multiplier),
          byte(activation),
          ...dilated(windows),
        ),
      },
      [x],
    );
    const deepWanted = depthwise(windows, x, dims, v, deep, c).map(act);
    worst.depthwise = Math.max(worst.depthwise, furthest(z?.values ?? [], deepWanted));
  }
  for (let k = 0; k < 24; k++) {
    const [windows, dims, kind] = [drawnWindows(false), image(), k % 2 ? 'max' : 'mean'] as const;
    const x = drawn(rng, dims);
    const [y] = await runOne(
      runtime,
      kind === 'max' ? 'MAX_POOL_2D' : 'AVERAGE_POOL_2D',
      {
        inputs: [{ dims }],
        outputs: [{ dims: sized(windows, dims, dims[3]) }],
        options: options(
          'Pool2D',
          ...strided(windows),
          int(windows.kernel[1]),
          int(windows.kernel[0]),
          byte(1),
        ),
      },
      [x],
    );
    const wanted = pooled(windows, x, dims, kind).map((value) => Math.max(0, value));
    worst.pool = Math.max(worst.pool, furthest(y?.values ?? [], wanted));

    const shape: Dims4 = [among(1, 3), ...windows.kernel, dims[3]];
    const whole = (i: 0 | 1): number =>
      windows.same
        ? dims[i + 1]! * windows.strides[i] - among(0, windows.strides[i] - 1)
        : (dims[i + 1]! - 1) * windows.strides[i] + windows.kernel[i] + among(0, windows.strides[i] - 1);
    const size: Dims4 = [dims[0], whole(0), whole(1), shape[0]];
    const w = drawn(rng, shape);
    const [z] = await runOne(
      runtime,
      'TRANSPOSE_CONV',
      {
        inputs: [ints(...size), constant(shape, w), { dims }],
        outputs: [{ dims: size }],
        options: options('TransposeConv', ...strided(windows)),
      },
      [x],
    );
    worst.transposed = Math.max(
      worst.transposed,
      furthest(z?.values ?? [], transposed(windows, x, dims, w, shape, size)),
    );
  }
  for (const [name, value] of Object.entries(worst)) t.ok(value < 1e-5, `${name}: ${value}`);
});

t.test('blocks of a batch around a convolution become its dilation, or are spelt out', async (t) => {
  for (const crops of [
    [0, 0, 0, 0],
    [1, 0, 0, 1],
    [3, 0, 0, 0],
  ]) {
    const dims: Dims4 = [1, 6, 7, 2];
    const windows: Windows = { same: false, kernel: [3, 3], strides: [1, 1], dilations: [2, 2] };
    const [x, w] = [drawn(rng, dims), drawn(rng, [1, 3, 3, 2])];
    const paddings = [2, 2, 2, 3];
    const [top, , left] = paddings as [number, number, number];
    const padded: Dims4 = [1, 10, 12, 2];
    const wide = Array<number>(count(padded)).fill(0);
    x.forEach((value, i) => {
      const [row, column] = [Math.floor(i / 14), Math.floor(i / 2) % 7];
      wide[((row + top) * 12 + column + left) * 2 + (i % 2)] = value;
    });
    const whole = depthwise(windows, wide, padded, w, [1, 3, 3, 2], []);
    const [rows, columns] = [6 - (crops[0]! + crops[1]!), 8 - (crops[2]! + crops[3]!)];
    const wanted = Array.from({ length: rows * columns * 2 }, (_, i) => {
      const [row, column] = [
        Math.floor(i / (columns * 2)) + crops[0]!,
        (Math.floor(i / 2) % columns) + crops[2]!,
      ];
      return whole[(row * 8 + column) * 2 + (i % 2)] as number;
    });
    const bytes = writeTflite({
      tensors: [
        { dims },
        ints(2, 2),
        constant([2, 2], paddings, 'int32'),
        { dims: [4, 5, 6, 2] },
        constant([1, 3, 3, 2], w),
        { dims: [4, 3, 4, 2] },
        constant([2, 2], crops, 'int32'),
        { dims: [1, rows, columns, 2] },
      ],
      operators: [
        { op: 'SPACE_TO_BATCH_ND', inputs: [0, 1, 2], outputs: [3] },
        {
          op: 'DEPTHWISE_CONV_2D',
          inputs: [3, 4],
          outputs: [5],
          options: options('DepthwiseConv2D', byte(1), int(1), int(1), int(1), byte(0), int(1), int(1)),
        },
        { op: 'BATCH_TO_SPACE_ND', inputs: [5, 1, 6], outputs: [7] },
      ],
      inputs: [0],
      outputs: [7],
    });
    const { graph, outputs } = await runConverted(runtime, bytes, [x]);
    t.ok(furthest(outputs[0]?.values ?? [], wanted) < 1e-5, `crops ${crops}`);
    t.same(outputs[0]?.dims, [1, rows, columns, 2]);
    const conv = graph.nodes.find(({ op }) => op === 'Conv');
    t.same(conv?.attributes.dilations, crops[0] === 3 ? [1, 1] : [2, 2]);
  }
});
