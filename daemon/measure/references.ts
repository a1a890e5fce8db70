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
  built ??= {
    convolution: convolutionNetwork({
      name: 'convolution-reference',
      size: 56,
      width: 24,
      inner: 96,
      blocks: 3,
    }),
    transformer: transformerNetwork({ name: 'transformer-reference', tokens: 50, width: 64, layers: 3 }),
  };
  return built;
}

let built: Readonly<Record<ReferenceName, Graph>> | null = null;

/**
 * One network of each kind that a target's repeatability is learnt from. A reference cannot serve: measured beside itself
 * it agrees more closely than any other network does. They must never change either.
 */
export function probeNetworks(): Readonly<Record<ReferenceName, Graph>> {
  probes ??= {
    convolution: convolutionNetwork({
      name: 'convolution-probe',
      size: 80,
      width: 32,
      inner: 128,
      blocks: 4,
    }),
    transformer: transformerNetwork({ name: 'transformer-probe', tokens: 65, width: 96, layers: 4 }),
  };
  return probes;
}

let probes: Readonly<Record<ReferenceName, Graph>> | null = null;

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

interface ConvolutionShape {
  readonly name: string;
  readonly size: number;
  readonly width: number;
  readonly inner: number;
  readonly blocks: number;
}

/** Inverted residual blocks (Sandler et al., 2018, figure 4) at half the input's size, and a classifier. */
function convolutionNetwork({ name, size, width, inner, blocks }: ConvolutionShape): Graph {
  const builder = new GraphBuilder({ name });
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
  let x = builder.relu(conv(builder.input('x', 'float32', [1, 3, size, size]), 3, width, 3, 2, 1));
  for (let block = 0; block < blocks; block++) {
    const expanded = builder.relu(conv(x, width, inner, 1, 1, 1));
    const deep = builder.relu(conv(expanded, inner, inner, 3, 1, inner));
    x = builder.add(x, conv(deep, inner, width, 1, 1, 1));
  }
  const pooled = builder.reshape(builder.globalAveragePool(x), [1, width]);
  builder.output(builder.node('Gemm', [pooled, weights(width, 10), weights(10)]));
  return builder.build();
}

interface TransformerShape {
  readonly name: string;
  readonly tokens: number;
  readonly width: number;
  readonly layers: number;
}

/** Pre-norm encoder layers of 4 heads (Dosovitskiy et al., 2021, equations 2 and 3). */
function transformerNetwork({ name, tokens, width, layers }: TransformerShape): Graph {
  const heads = 4;
  const builder = new GraphBuilder({ name });
  const weights = weightsInto(builder);
  const dense = (x: string, from: number, to: number): string =>
    builder.add(builder.matMul(x, weights(from, to)), weights(to));
  const norm = (x: string): string => builder.layerNorm(x, weights(width), weights(width));
  const split = (x: string, perm: readonly number[]): string =>
    builder.transpose(builder.reshape(x, [1, tokens, heads, width / heads]), perm);
  let x = builder.input('x', 'float32', [1, tokens, width]);
  for (let layer = 0; layer < layers; layer++) {
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
