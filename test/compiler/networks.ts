import { gaussian, pick, type Rng, randomInt, Xoshiro128 } from '../../daemon/core/rng.js';
import { elementCount, floatTensor, type Graph } from '../../daemon/network/graph.js';
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
