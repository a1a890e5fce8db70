import { gaussian, pick, type Rng, randomInt, Xoshiro128 } from '../../daemon/core/rng.js';
import { generatedSigns, signsName } from '../../daemon/network/generated-signs.js';
import { elementCount, floatTensor, type Graph, int64Tensor } from '../../daemon/network/graph.js';
import { GraphBuilder } from '../../daemon/network/graph-builder.js';

/** Constants of a graph under construction: standard normal values by the square root of half the fan-in. */
export function constantsOf(b: GraphBuilder, rng: Rng): (...dims: number[]) => string {
  let count = 0;
  return (...dims) => {
    const fanIn = dims.length === 2 ? (dims[0] as number) : elementCount(dims.slice(1));
    const values = Float32Array.from(
      { length: elementCount(dims) },
      () => gaussian(rng) * Math.sqrt(2 / fanIn),
    );
    return b.constant(`weight${count++}`, floatTensor(dims, values));
  };
}

/** Convolutions of every kind, pools, joins, gates and a classifier over a map that is not one pixel. */
export function mixedConvolutions(seed: number): Graph {
  const rng = Xoshiro128.fromSeed(seed);
  const b = new GraphBuilder({ name: 'mixed' });
  const w = constantsOf(b, rng);
  const [height, width] = [9 + randomInt(rng, 6), 8 + randomInt(rng, 6)];
  const channels = 4 * (1 + randomInt(rng, 3));
  let x = b.input('image', 'float32', [1, 3, height, width]);
  x = b.clip(b.conv(x, w(channels, 3, 3, 3), w(channels), { stride: pick(rng, [1, 2]) }), 0, 6);
  // A separable block with a shortcut, expanded and projected.
  const wide = b.hardSwish(b.conv(x, w(3 * channels, channels, 1, 1), w(3 * channels)));
  const kernel = pick(rng, [3, 5]);
  const deep = b.relu(
    b.conv(wide, w(3 * channels, 1, kernel, kernel), w(3 * channels), { groups: 3 * channels }),
  );
  x = b.add(b.conv(deep, w(channels, 3 * channels, 1, 1), w(channels)), x);
  // A gate over channels: squeeze and excitation.
  const squeezed = b.globalAveragePool(x);
  const gate = b.node('HardSigmoid', [b.conv(squeezed, w(channels, channels, 1, 1), w(channels))], {
    alpha: 1 / 6,
    beta: 0.5,
  });
  x = b.mul(x, gate);
  const grouped = b.conv(x, w(channels, channels / 2, 3, 3), w(channels), { groups: 2 });
  const pooled = b.node('MaxPool', [x], { kernel_shape: [3, 3], strides: [1, 1], pads: [1, 1, 1, 1] });
  const means = b.node('AveragePool', [x], {
    kernel_shape: [3, 3],
    strides: [1, 1],
    pads: [1, 1, 1, 1],
    count_include_pad: randomInt(rng, 2),
  });
  const [left, right] = b.split(b.concat([grouped, pooled, means], 1), 1, [channels, 2 * channels]) as [
    string,
    string,
  ];
  const other = b.conv(right, w(channels, 2 * channels, 2, 2), w(channels), { pad: 0 });
  const dims = b.dimsOf(other);
  const cropped = b.slice(b.slice(left, 2, 1, 1 + (dims[2] as number)), 3, 0, dims[3] as number);
  const difference = b.node('Sub', [other, cropped]);
  const flat = b.flatten(b.node('AveragePool', [difference], { kernel_shape: [2, 2], strides: [2, 2] }));
  b.output(b.gemm(flat, w(7, b.dimsOf(flat)[1] as number), w(7)), 'logits');
  return b.build();
}

/** Two transformer blocks with low-rank layers: one with its norms before, GELU by erf; one with them behind, by tanh. */
export function tokens(seed: number): Graph {
  const rng = Xoshiro128.fromSeed(seed);
  const b = new GraphBuilder({ name: 'tokens' });
  const w = constantsOf(b, rng);
  const [heads, depth] = [pick(rng, [1, 2, 3]), pick(rng, [4, 8])];
  const width = heads * depth;
  const count = 9 + randomInt(rng, 12);
  const norm = (x: string): string => b.layerNorm(x, w(width), w(width));
  const linear = (x: string, out: number): string => {
    const inWidth = b.dimsOf(x).at(-1) as number;
    return b.add(b.matMul(b.matMul(x, w(inWidth, 3)), w(3, out)), w(out));
  };
  const dense = (x: string, out: number): string =>
    b.add(b.matMul(x, w(b.dimsOf(x).at(-1) as number, out)), w(out));
  const attention = (x: string): string => {
    const split = (perm: readonly number[]): string =>
      b.transpose(b.reshape(linear(x, width), [0, count, heads, depth]), perm);
    const scores = b.softmax(
      b.mul(b.matMul(split([0, 2, 1, 3]), split([0, 2, 3, 1])), b.scalar(depth ** -0.5)),
    );
    return dense(
      b.reshape(b.transpose(b.matMul(scores, split([0, 2, 1, 3])), [0, 2, 1, 3]), [0, count, width]),
      width,
    );
  };
  const geluTanh = (x: string): string => {
    const cube = b.mul(b.mul(b.mul(x, x), x), b.scalar(0.044715));
    const inner = b.mul(b.add(x, cube), b.scalar(Math.sqrt(2 / Math.PI)));
    return b.mul(b.mul(x, b.add(b.node('Tanh', [inner]), b.scalar(1))), b.scalar(0.5));
  };
  let x = b.add(dense(b.input('sequence', 'float32', [1, count, 10]), width), w(1, count, width));
  x = b.add(x, attention(norm(x)));
  x = b.add(x, linear(b.gelu(linear(norm(x), 3 * width)), width));
  x = norm(b.add(x, attention(x)));
  x = norm(b.add(x, dense(geluTanh(dense(x, 2 * width)), width)));
  b.output(dense(b.reduceMean(x, [1], 0), 5), 'logits');
  return b.build();
}

/** A stem over padded patches, then what a space of small vision transformers makes of them. */
export function paddedPatches(seed: number): Graph {
  const rng = Xoshiro128.fromSeed(seed);
  const b = new GraphBuilder({ name: 'patches' });
  const w = constantsOf(b, rng);
  const patch = pick(rng, [3, 4, 5]);
  const size = patch * (3 + randomInt(rng, 3)) - 2;
  const x = b.conv(b.input('image', 'float32', [1, 3, size, size]), w(12, 3, patch, patch), w(12), {
    stride: patch,
    pad: 1,
  });
  const [, , height, width] = b.dimsOf(x) as [number, number, number, number];
  const count = height * width;
  const sequence = b.add(b.transpose(b.reshape(x, [0, 12, count]), [0, 2, 1]), w(1, count, 12));
  const wide = b.gelu(b.add(b.matMul(b.layerNorm(sequence, w(12), w(12)), w(12, 30)), w(30)));
  b.output(
    b.add(b.matMul(b.add(sequence, b.add(b.matMul(wide, w(30, 12)), w(12))), w(12, 4)), w(4)),
    'classes',
  );
  return b.build();
}

/** Zeros around images, for windows to take over or as steps of their own; images made larger and smaller. */
export function resampled(seed: number): Graph {
  const rng = Xoshiro128.fromSeed(seed);
  const b = new GraphBuilder({ name: 'resampled' });
  const w = constantsOf(b, rng);
  let count = 0;
  const ints = (values: readonly number[]): string => b.constant(`ints${count++}`, int64Tensor(values));
  const pad = (x: string, ...pads: readonly number[]): string => b.node('Pad', [x, ints(pads)]);
  const resize = (x: string, scales: readonly number[], attributes = {}): string =>
    b.node('Resize', [x, '', b.constant(`scales${count++}`, floatTensor([4], scales))], attributes);
  const [height, width] = [6 + randomInt(rng, 3), 5 + randomInt(rng, 4)];
  let x = b.input('image', 'float32', [1, 3, height, width]);
  x = b.relu(b.conv(pad(x, 0, 0, 2, 1, 0, 0, 0, 1), w(8, 3, 3, 3), w(8), { pad: 0 }));
  const most = b.node('MaxPool', [pad(x, 0, 0, 1, 1, 0, 0, 1, 1)], { kernel_shape: [3, 3] });
  const mean = b.node('AveragePool', [pad(x, 0, 0, 1, 1, 0, 0, 1, 1)], { kernel_shape: [3, 3] });
  x = b.conv(b.concat([most, mean], 1), w(8, 16, 1, 1), w(8));
  // Below zero here: these zeros change the maximum, and must stay a step.
  x = b.node('MaxPool', [pad(x, 0, 0, 0, 2, 0, 0, 1, 0)], { kernel_shape: [3, 3] });
  x = b.conv(resize(x, [1, 1, 2, 3], { mode: 'nearest' }), w(8, 1, 3, 3), w(8), { groups: 8 });
  x = resize(x, [1, 1, 1, 2], { coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' });
  x = resize(b.slice(x, 2, 0, 4), [1, 1, 0.5, 1], {
    coordinate_transformation_mode: 'asymmetric',
    nearest_mode: 'floor',
  });
  x = b.conv(x, w(6, 8, 1, 1), w(6));
  b.output(b.gemm(b.flatten(b.globalAveragePool(x)), w(4, 6), w(4)), 'logits');
  return b.build();
}

/** Convolutions and pools along one axis. */
export function sequences(seed: number): Graph {
  const rng = Xoshiro128.fromSeed(seed);
  const b = new GraphBuilder({ name: 'sequences' });
  const w = constantsOf(b, rng);
  const along = (
    x: string,
    weight: string,
    attributes: Readonly<Record<string, number | number[]>>,
  ): string => b.node('Conv', [x, weight, w(b.dimsOf(weight)[0] as number)], attributes);
  let x = b.input('signal', 'float32', [1, 3, 24 + randomInt(rng, 8)]);
  x = along(x, w(8, 3, 5), { kernel_shape: [5], strides: [2], pads: [2, 2] });
  const ones = b.constant('ones', floatTensor([8], new Array(8).fill(0.7)));
  x = b.relu(b.batchNorm(x, w(8), w(8), w(8), ones));
  x = b.relu(along(x, w(8, 1, 3), { group: 8, pads: [1, 1], kernel_shape: [3] }));
  x = along(x, w(12, 4, 3), { group: 2, dilations: [2], pads: [2, 2], kernel_shape: [3] });
  x = b.node('MaxPool', [x], { kernel_shape: [2], strides: [2] });
  x = b.node('AveragePool', [x], { kernel_shape: [3], strides: [1], pads: [1, 1] });
  x = b.add(along(x, w(12, 12, 1), { kernel_shape: [1] }), x);
  // As tokens: some of nothing behind the others.
  const tokens = b.node('Pad', [
    b.transpose(x, [0, 2, 1]),
    b.constant('pads', int64Tensor([0, 1, 0, 0, 2, 0])),
  ]);
  x = b.reduceMean(b.gelu(b.add(b.matMul(tokens, w(12, 10)), w(10))), [1], 0);
  b.output(b.add(b.matMul(x, w(10, 5)), w(5)), 'logits');
  return b.build();
}

/** Attention whose query heads share keys and values, as products that broadcast and as exporters repeat them. */
export function sharedHeads(seed: number): Graph {
  const rng = Xoshiro128.fromSeed(seed);
  const b = new GraphBuilder({ name: 'shared heads' });
  const w = constantsOf(b, rng);
  const [count, depth, shared] = [7 + randomInt(rng, 4), 4, pick(rng, [1, 2])];
  const [group, width] = [2, 2 * shared * depth];
  const dense = (x: string, out: number): string =>
    b.add(b.matMul(x, w(b.dimsOf(x).at(-1) as number, out)), w(out));
  const heads = (x: string, kept: number, perm: readonly number[]): string =>
    b.transpose(b.reshape(dense(x, shared * kept * depth), [0, count, shared, kept, depth]), perm);
  const attend = (q: string, k: string, v: string, back: readonly number[]): string => {
    const scores = b.softmax(b.mul(b.matMul(q, k), b.scalar(depth ** -0.5)));
    return b.reshape(b.transpose(b.matMul(scores, v), back), [0, count, width]);
  };
  let x = dense(b.input('sequence', 'float32', [1, count, 6]), width);
  const q = heads(x, group, [0, 2, 3, 1, 4]);
  x = b.add(x, attend(q, heads(x, 1, [0, 2, 3, 4, 1]), heads(x, 1, [0, 2, 3, 1, 4]), [0, 3, 1, 2, 4]));
  const repeated = (axes: readonly number[], perm: readonly number[]): string => {
    const shape = b.constant(`to${perm}`, int64Tensor([1, shared, group, ...axes]));
    return b.reshape(b.node('Expand', [heads(x, 1, perm), shape]), [0, shared * group, ...axes]);
  };
  const q4 = b.reshape(heads(x, group, [0, 2, 3, 1, 4]), [0, shared * group, count, depth]);
  const k4 = repeated([depth, count], [0, 2, 3, 4, 1]);
  const v4 = repeated([count, depth], [0, 2, 3, 1, 4]);
  x = b.add(x, attend(q4, k4, v4, [0, 2, 1, 3]));
  b.output(dense(b.reduceMean(x, [1], 0), 5), 'logits');
  return b.build();
}

/** Attention without a softmax: its sums over tokens and its quotient by row, with keys and values of their own or shared. */
export function linearAttention(seed: number): Graph {
  const rng = Xoshiro128.fromSeed(seed);
  const b = new GraphBuilder({ name: 'linear attention' });
  const w = constantsOf(b, rng);
  const [count, depth, shared] = [9 + randomInt(rng, 4), 4, pick(rng, [1, 2])];
  const [group, width] = [2, 2 * shared * depth];
  const dense = (x: string, out: number): string =>
    b.add(b.matMul(x, w(b.dimsOf(x).at(-1) as number, out)), w(out));
  const heads = (x: string, kept: number, perm: readonly number[]): string =>
    b.transpose(b.reshape(dense(x, shared * kept * depth), [0, count, shared, kept, depth]), perm);
  const positive = (x: string): string => b.add(b.node('Elu', [x], { alpha: 1 }), b.scalar(1));
  let x = dense(b.input('sequence', 'float32', [1, count, 6]), width);
  for (const kept of [1, group]) {
    const normal = b.layerNorm(x, w(width), w(width));
    const query = positive(heads(normal, group, [0, 2, 3, 1, 4]));
    const key = positive(heads(normal, kept, [0, 2, 3, 4, 1]));
    const value = heads(normal, kept, [0, 2, 3, 1, 4]);
    const total = b.node('ReduceSum', [key, b.constant(`axes${kept}`, int64Tensor([4]))], { keepdims: 1 });
    const mixed = b.node('Div', [b.matMul(query, b.matMul(key, value)), b.matMul(query, total)]);
    const joined = b.reshape(b.transpose(mixed, [0, 3, 1, 2, 4]), [0, count, width]);
    x = b.add(x, dense(joined, width));
  }
  b.output(dense(b.reduceMean(x, [1], 0), 5), 'logits');
  return b.build();
}

/** Constant matrices before and behind tokens, operands that repeat along one axis or each along another, quotients. */
export function transformed(seed: number): Graph {
  const rng = Xoshiro128.fromSeed(seed);
  const b = new GraphBuilder({ name: 'transformed' });
  const w = constantsOf(b, rng);
  const [count, width] = [8 + randomInt(rng, 5), 6 + 2 * randomInt(rng, 3)];
  let x = b.add(b.matMul(b.input('sequence', 'float32', [1, count, 5]), w(5, width)), w(width));
  const both = (): string => b.matMul(w(count, count), b.matMul(x, w(width, width)));
  x = b.add(x, b.node('Sub', [both(), both()]));
  x = b.add(x, b.matMul(w(count, count), x));
  // Repeated over a row's elements, over the rows, and one each.
  const [ofTokens, ofChannels] = [b.reduceMean(x, [2], 1), b.reduceMean(x, [1], 1)];
  x = b.mul(x, b.node('Sigmoid', [ofTokens]));
  x = b.node('Sub', [x, ofTokens]);
  x = b.add(x, b.add(ofTokens, ofChannels));
  x = b.node('Sub', [b.node('Tanh', [ofChannels]), x]);
  const scales = Float32Array.from({ length: width }, (_, i) => 1 + 0.25 * (i % 4));
  x = b.node('Div', [x, b.constant('scales', floatTensor([width], scales))]);
  x = b.node('Div', [x, b.add(b.node('Abs', [ofTokens]), b.scalar(0.5))]);
  b.output(b.add(b.matMul(b.reduceMean(x, [1], 0), w(width, 5)), w(5)), 'logits');
  return b.build();
}

/** Images made larger by kernels as large as their strides: depthwise, dense, along one axis. */
export function upsampled(seed: number): Graph {
  const rng = Xoshiro128.fromSeed(seed);
  const b = new GraphBuilder({ name: 'upsampled' });
  const w = constantsOf(b, rng);
  const [height, width] = [3 + randomInt(rng, 2), 3 + randomInt(rng, 3)];
  const up = (x: string, out: number, kernel: readonly number[], group = 1): string =>
    b.node('ConvTranspose', [x, w(b.dimsOf(x)[1] as number, out / group, ...kernel), w(out)], {
      kernel_shape: [...kernel],
      strides: [...kernel],
      group,
    });
  let x = b.relu(b.conv(b.input('image', 'float32', [1, 3, height, width]), w(8, 3, 3, 3), w(8)));
  x = b.relu(up(x, 8, [2, 2], 8));
  x = b.conv(up(x, 5, [2, 3]), w(6, 5, 3, 3), w(6), { stride: 2 });
  const line = b.reshape(x, [
    0,
    6,
    b
      .dimsOf(x)
      .slice(2)
      .reduce((a, n) => a * n, 1),
  ]);
  x = b.relu(up(line, 4, [2]));
  b.output(b.gemm(b.flatten(b.reduceMean(x, [2], 0)), w(4, 4), w(4)), 'logits');
  return b.build();
}

/** One step of a memory beside an image: three inputs, and outputs of every shape, one of which goes on. */
export function severalPorts(seed: number): Graph {
  const rng = Xoshiro128.fromSeed(seed);
  const b = new GraphBuilder({ name: 'several ports' });
  const w = constantsOf(b, rng);
  const state = 3 + randomInt(rng, 4);
  const x = b.input('x', 'float32', [1, 6]);
  const memory = b.input('memory', 'float32', [1, state, state]);
  const image = b.input('image', 'float32', [1, 3, 6, 5]);
  const dense = (y: string, out: number): string =>
    b.add(b.matMul(y, w(b.dimsOf(y).at(-1) as number, out)), w(out));
  const column = b.reshape(b.node('Tanh', [dense(x, state)]), [0, state, 1]);
  const gate = b.reshape(b.node('Sigmoid', [dense(x, 1)]), [0, 1, 1]);
  const next = b.add(b.mul(gate, memory), b.matMul(column, b.transpose(column, [0, 2, 1])));
  b.output(next, 'memory.next');
  const features = b.relu(b.conv(image, w(4, 3, 3, 3), w(4)));
  b.output(b.conv(features, w(2, 4, 1, 1), w(2)), 'mask');
  const read = b.concat(
    [b.reshape(b.matMul(next, column), [0, state]), b.flatten(b.globalAveragePool(features))],
    1,
  );
  b.output(dense(read, 5), 'logits');
  return b.build();
}

/** Borders of every kind around an image, tiles, and constants among what is joined: a class token, a map. */
export function bordered(seed: number): Graph {
  const rng = Xoshiro128.fromSeed(seed);
  const b = new GraphBuilder({ name: 'bordered' });
  const w = constantsOf(b, rng);
  const pad = (x: string, widths: readonly number[], mode: string, value?: number): string =>
    b.node(
      'Pad',
      [
        x,
        b.ints([0, 0, ...widths.slice(0, 2), 0, 0, ...widths.slice(2)]),
        ...(value === undefined ? [] : [b.scalar(value)]),
      ],
      {
        mode,
      },
    );
  const [height, width] = [4 + randomInt(rng, 3), 4 + randomInt(rng, 3)];
  const image = b.input('image', 'float32', [1, 3, height, width]);
  let x = b.relu(b.conv(pad(image, [2, 1, 1, 2], 'reflect'), w(4, 3, 3, 3), w(4), { pad: 0 }));
  x = b.conv(pad(x, [1, 1, 1, 1], 'edge'), w(6, 4, 3, 3), w(6), { pad: 0 });
  x = b.node('MaxPool', [pad(x, [1, 0, 0, 1], 'constant', -1.5)], { kernel_shape: [2, 2] });
  const [, , h, v] = b.dimsOf(x) as [number, number, number, number];
  x = b.concat([x, w(1, 2, h, v)], 1);
  x = b.conv(b.node('Tile', [x, b.ints([1, 1, 2, 2])]), w(8, 8, 3, 3), w(8), { stride: 2 });
  const count = b
    .dimsOf(x)
    .slice(2)
    .reduce((a, n) => a * n, 1);
  const tokens = b.transpose(b.reshape(x, [0, 8, count]), [0, 2, 1]);
  const sequence = b.add(b.concat([w(1, 1, 8), tokens], 1), w(1, count + 1, 8));
  const mixed = b.gelu(b.add(b.matMul(b.layerNorm(sequence, w(8), w(8)), w(8, 8)), w(8)));
  const means = b.add(b.node('Tile', [b.reduceMean(mixed, [1], 1), b.ints([1, count + 1, 1])]), mixed);
  b.output(b.add(b.matMul(b.reshape(b.slice(means, 1, 0, 1), [0, 8]), w(8, 5)), w(5)), 'logits');
  return b.build();
}

/** Images between pixels: linear interpolation by any factor, up and down, and nearest neighbours by no whole one. */
export function interpolated(seed: number): Graph {
  const rng = Xoshiro128.fromSeed(seed);
  const b = new GraphBuilder({ name: 'interpolated' });
  const w = constantsOf(b, rng);
  let count = 0;
  const resize = (x: string, scales: readonly number[], mode: string, coordinates: string): string =>
    b.node('Resize', [x, '', b.constant(`scales${count++}`, floatTensor([4], [1, 1, ...scales]))], {
      mode,
      coordinate_transformation_mode: coordinates,
    });
  let x = b.input('image', 'float32', [1, 3, 5 + randomInt(rng, 3), 4 + randomInt(rng, 3)]);
  x = b.relu(b.conv(x, w(6, 3, 3, 3), w(6)));
  x = b.conv(resize(x, [2, 2], 'linear', 'half_pixel'), w(6, 6, 3, 3), w(6));
  const [, , height, width] = b.dimsOf(x) as [number, number, number, number];
  // By sizes: where corners are aligned, runtimes differ in what a scale makes of a size that it does not divide.
  const sizes = b.ints([1, 6, Math.floor(0.6 * height), width]);
  const aligned = { mode: 'linear', coordinate_transformation_mode: 'align_corners' };
  x = b.relu(b.node('Resize', [x, '', '', sizes], aligned));
  x = b.conv(resize(x, [1, 1.5], 'nearest', 'asymmetric'), w(6, 6, 1, 1), w(6));
  x = resize(x, [1.25, 0.5], 'linear', 'asymmetric');
  b.output(b.gemm(b.flatten(b.globalAveragePool(b.relu(x))), w(4, 6), w(4)), 'logits');
  return b.build();
}

/** Fixed random projections that a seed gives: of tokens, more rows than a block, then of one row, before low-rank layers. */
export function projected(seed: number): Graph {
  const rng = Xoshiro128.fromSeed(seed);
  const b = new GraphBuilder({ name: 'projected' });
  const w = constantsOf(b, rng);
  // [outputs, inputs], as Gemm takes it; a product takes its transpose.
  const signs = (inputs: number, outputs: number): Float32Array =>
    Float32Array.from(generatedSigns(seed, outputs, inputs), (sign) => sign / Math.sqrt(inputs));
  const [count, width] = [6 + randomInt(rng, 9), 25 + randomInt(rng, 20)];
  // One tile of outputs is cut short, or not full.
  const [wide, narrow] = [33 + randomInt(rng, 30), 10 + randomInt(rng, 9)];
  const rows = signs(width, wide);
  const columns = Float32Array.from(
    rows,
    (_, at) => rows[(at % wide) * width + Math.floor(at / wide)] as number,
  );
  const matrix = b.constant(signsName(seed), floatTensor([width, wide], columns));
  const tokens = b.matMul(b.input('tokens', 'float32', [1, count, width]), matrix);
  const mixed = b.gelu(b.add(b.matMul(b.layerNorm(tokens, w(wide), w(wide)), w(wide, 12)), w(12)));
  const flat = b.flatten(mixed);
  const again = b.constant(
    `${signsName(seed)}.again`,
    floatTensor([narrow, 12 * count], signs(12 * count, narrow)),
  );
  const row = b.gemm(flat, again, w(narrow));
  b.output(b.add(b.matMul(b.relu(row), w(narrow, 5)), w(5)), 'logits');
  return b.build();
}

/** Sound as a keyword spotter hears it: a convolution, layers with a memory in both directions, the largest over time. */
export function recurrent(seed: number): Graph {
  const rng = Xoshiro128.fromSeed(seed);
  const b = new GraphBuilder({ name: 'recurrent' });
  const w = constantsOf(b, rng);
  const [steps, units] = [9 + randomInt(rng, 6), 5 + randomInt(rng, 8)];
  const small = (...dims: number[]): string => {
    const values = Array.from({ length: elementCount(dims) }, () => (2 * rng.next() - 1) / Math.sqrt(units));
    return b.constant(`small${count++}`, floatTensor(dims, values));
  };
  let count = 0;
  const layer = (op: string, x: string, gates: number, directions: number, more = {}): string => {
    const [length, , inputs] = b.dimsOf(x) as [number, number, number];
    const rows = gates * units;
    const weights = [
      small(directions, rows, inputs),
      small(directions, rows, units),
      small(directions, 2 * rows),
    ];
    const direction = directions === 2 ? 'bidirectional' : pick(rng, ['forward', 'reverse']);
    const y = b.node(op, [x, ...weights], { hidden_size: units, direction, ...more }, { outputs: 2 });
    return b.reshape(b.transpose(y, [0, 2, 1, 3]), [length, 1, directions * units]);
  };
  let x = b.input('signal', 'float32', [1, 4, steps]);
  x = b.node('Conv', [x, w(8, 4, 3), w(8)], { kernel_shape: [3], pads: [1, 1] });
  x = b.node('PRelu', [x, b.constant('slope', floatTensor([8, 1], [0.1, 0.2, 0.3, 0.1, 0, 0.5, 0.25, 0.4]))]);
  x = layer('LSTM', b.transpose(x, [2, 0, 1]), 4, 2);
  x = layer('GRU', x, 3, 1, { linear_before_reset: 1 });
  x = b.add(layer('GRU', x, 3, 1), x);
  x = layer('RNN', x, 1, 2);
  const [most, mean] = [b.node('ReduceMax', [x], { axes: [0], keepdims: 0 }), b.reduceMean(x, [0], 0)];
  const scores = b.gemm(b.concat([most, mean], 1), w(6, 4 * units), w(6));
  b.output(b.node('LogSoftmax', [scores]), 'scores');
  return b.build();
}
