import { Xoshiro128 } from '../core/rng.js';
import { elementCount, floatTensor, type Graph } from '../network/graph.js';
import { GraphBuilder } from '../network/graph-builder.js';
import type { ReferenceName } from './calibration.js';

/**
 * The two networks that stand beside candidates. They must never change:
 * a changed reference makes every stored ratio and calibration worthless. Both take about half a millisecond on one
 * core of a server of 2020, long against the clock's step and short against a regime of a shared machine.
 */
export function referenceNetworks(): Readonly<Record<ReferenceName, Graph>> {
  built ??= { convolution: convolutionReference(), transformer: transformerReference() };
  return built;
}

let built: Readonly<Record<ReferenceName, Graph>> | null = null;

/** The reference whose operators are like the network's: what slows the one then slows the other. */
export function referenceFor(network: Graph): ReferenceName {
  const count = (...ops: string[]): number => network.nodes.filter((node) => ops.includes(node.op)).length;
  // A patch embedding is one convolution in front of many matrix products.
  return count('MatMul', 'Gemm', 'LayerNormalization', 'Softmax') >
    count('Conv', 'ConvTranspose', 'QLinearConv')
    ? 'transformer'
    : 'convolution';
}

/** A seeded source of weights: small, so that no activation blows up. */
function weightsInto(builder: GraphBuilder): (...dims: number[]) => string {
  const rng = Xoshiro128.fromSeed(7);
  let count = 0;
  return (...dims) =>
    builder.constant(
      `c${count++}`,
      floatTensor(
        dims,
        Float32Array.from({ length: elementCount(dims) }, () => (rng.next() - 0.5) / 8),
      ),
    );
}

/** Three inverted residual blocks (Sandler et al., 2018, figure 4) of 24 channels at 28 x 28 and a classifier. */
function convolutionReference(): Graph {
  const builder = new GraphBuilder({ name: 'convolution-reference' });
  const weights = weightsInto(builder);
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
      pad: Math.floor(kernel / 2),
      groups,
    });
  let x = builder.relu(conv(builder.input('x', 'float32', [1, 3, 56, 56]), 3, 24, 3, 2, 1));
  for (let block = 0; block < 3; block++) {
    const expanded = builder.relu(conv(x, 24, 96, 1, 1, 1));
    const deep = builder.relu(conv(expanded, 96, 96, 3, 1, 96));
    x = builder.add(x, conv(deep, 96, 24, 1, 1, 1));
  }
  const pooled = builder.reshape(builder.globalAveragePool(x), [1, 24]);
  builder.output(builder.node('Gemm', [pooled, weights(24, 10), weights(10)]));
  return builder.build();
}

/** Three pre-norm encoder layers (Dosovitskiy et al., 2021, equations 2 and 3): 50 tokens, width 64, 4 heads. */
function transformerReference(): Graph {
  const [tokens, width, heads] = [50, 64, 4];
  const builder = new GraphBuilder({ name: 'transformer-reference' });
  const weights = weightsInto(builder);
  const dense = (x: string, from: number, to: number): string =>
    builder.add(builder.matMul(x, weights(from, to)), weights(to));
  const norm = (x: string): string => builder.layerNorm(x, weights(width), weights(width));
  const split = (x: string, perm: readonly number[]): string =>
    builder.transpose(builder.reshape(x, [1, tokens, heads, width / heads]), perm);
  let x = builder.input('x', 'float32', [1, tokens, width]);
  for (let layer = 0; layer < 3; layer++) {
    const attended = norm(x);
    const query = split(dense(attended, width, width), [0, 2, 1, 3]);
    const key = split(dense(attended, width, width), [0, 2, 3, 1]);
    const value = split(dense(attended, width, width), [0, 2, 1, 3]);
    const shares = builder.softmax(builder.matMul(query, key));
    const mixed = builder.transpose(builder.matMul(shares, value), [0, 2, 1, 3]);
    x = builder.add(x, dense(builder.reshape(mixed, [1, tokens, width]), width, width));
    x = builder.add(x, dense(builder.relu(dense(norm(x), width, 4 * width)), 4 * width, width));
  }
  builder.output(x);
  return builder.build();
}
