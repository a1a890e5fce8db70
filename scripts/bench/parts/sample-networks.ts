import { pick, type Rng, randomInt } from '../../../daemon/core/rng.js';
import { elementCount, floatTensor, type Graph } from '../../../daemon/network/graph.js';
import { GraphBuilder } from '../../../daemon/network/graph-builder.js';

/** Networks for the measuring benchmarks: mobile CNNs and vision transformers of about 0.1 to 10 ms on one CPU core of 2020. */
export function sampleNetwork(rng: Rng, name: string): Graph {
  return rng.next() < 0.7
    ? mobileNetwork(rng, {
        name,
        size: pick(rng, [48, 64, 96, 160]),
        width: pick(rng, [16, 24, 32]),
        blocks: 2 + randomInt(rng, 6),
      })
    : visionTransformer(rng, {
        name,
        tokens: pick(rng, [17, 50, 65]),
        width: pick(rng, [64, 96, 128]),
        layers: 2 + randomInt(rng, 5),
      });
}

export interface MobileShape {
  readonly name: string;
  readonly size: number;
  readonly width: number;
  readonly blocks: number;
}

/** Inverted residual blocks of random kernel (3, 5, 7) and expansion (3, 6) at half the input's size. */
export function mobileNetwork(rng: Rng, { name, size, width, blocks }: MobileShape): Graph {
  const builder = new GraphBuilder({ name });
  const weights = weightsInto(builder, rng);
  const conv = (
    x: string,
    cin: number,
    cout: number,
    kernel: number,
    stride: number,
    groups: number,
  ): string =>
    builder.conv(x, weights(cout, cin / groups, kernel, kernel), weights(cout), {
      stride,
      pad: kernel >> 1,
      groups,
    });
  let x = builder.relu(conv(builder.input('x', 'float32', [1, 3, size, size]), 3, width, 3, 2, 1));
  for (let block = 0; block < blocks; block++) {
    const inner = width * pick(rng, [3, 6]);
    const expanded = builder.relu(conv(x, width, inner, 1, 1, 1));
    const deep = builder.relu(conv(expanded, inner, inner, pick(rng, [3, 5, 7]), 1, inner));
    x = builder.add(x, conv(deep, inner, width, 1, 1, 1));
  }
  const pooled = builder.reshape(builder.globalAveragePool(x), [1, width]);
  builder.output(builder.node('Gemm', [pooled, weights(width, 10), weights(10)]));
  return builder.build();
}

export interface TransformerShape {
  readonly name: string;
  readonly tokens: number;
  readonly width: number;
  readonly layers: number;
}

/** Pre-norm encoder layers of 4 heads. */
export function visionTransformer(rng: Rng, { name, tokens, width, layers }: TransformerShape): Graph {
  const builder = new GraphBuilder({ name });
  const weights = weightsInto(builder, rng);
  const dense = (x: string, from: number, to: number): string =>
    builder.add(builder.matMul(x, weights(from, to)), weights(to));
  const norm = (x: string): string => builder.layerNorm(x, weights(width), weights(width));
  const split = (x: string, perm: readonly number[]): string =>
    builder.transpose(builder.reshape(x, [1, tokens, 4, width / 4]), perm);
  let x = builder.input('x', 'float32', [1, tokens, width]);
  for (let layer = 0; layer < layers; layer++) {
    const attended = norm(x);
    const query = split(dense(attended, width, width), [0, 2, 1, 3]);
    const key = split(dense(attended, width, width), [0, 2, 3, 1]);
    const value = split(dense(attended, width, width), [0, 2, 1, 3]);
    const mixed = builder.transpose(
      builder.matMul(builder.softmax(builder.matMul(query, key)), value),
      [0, 2, 1, 3],
    );
    x = builder.add(x, dense(builder.reshape(mixed, [1, tokens, width]), width, width));
    const inner = width * pick(rng, [2, 4]);
    x = builder.add(x, dense(builder.relu(dense(norm(x), width, inner)), inner, width));
  }
  builder.output(x);
  return builder.build();
}

function weightsInto(builder: GraphBuilder, rng: Rng): (...dims: number[]) => string {
  let count = 0;
  return (...dims) =>
    builder.constant(
      `w${count++}`,
      floatTensor(
        dims,
        Float32Array.from({ length: elementCount(dims) }, () => (rng.next() - 0.5) / 8),
      ),
    );
}
