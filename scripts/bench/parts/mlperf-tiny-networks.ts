import { gaussian, Xoshiro128 } from '../../../daemon/core/rng.js';
import { elementCount, floatTensor, type Graph } from '../../../daemon/network/graph.js';
import { GraphBuilder } from '../../../daemon/network/graph-builder.js';

/**
 * The four networks of MLPerf Tiny (Banbury et al., NeurIPS 2021 datasets and benchmarks, table 1) by their published
 * shapes, with random weights: for what they cost, not for what they answer.
 */
export const mlperfTinyNetworks: Readonly<Record<string, () => Graph>> = {
  'ds-cnn': depthwiseSeparable,
  'mobilenet-v1-0.25': mobileNet,
  'resnet-8': residual,
  'fc-autoencoder': autoencoder,
};

class Layers {
  readonly b: GraphBuilder;
  readonly #rng = Xoshiro128.fromSeed(1);
  #count = 0;

  constructor(name: string) {
    this.b = new GraphBuilder({ name });
  }

  weights(dims: readonly number[], fanIn: number): string {
    const values = Float32Array.from(
      { length: elementCount(dims) },
      () => gaussian(this.#rng) * Math.sqrt(2 / fanIn),
    );
    return this.b.constant(`weight${this.#count++}`, floatTensor(dims, values));
  }

  /** Batch normalisation that is the identity until somebody trains it. */
  norm(x: string, width: number): string {
    const constant = (value: number): string =>
      this.b.constant(`norm${this.#count++}`, floatTensor([width], new Float32Array(width).fill(value)));
    return this.b.batchNorm(x, constant(1), constant(0), constant(0), constant(1));
  }

  /** Convolution and normalisation, padded as TensorFlow's SAME. */
  conv(
    x: string,
    out: number,
    kernel: readonly [number, number],
    { stride = 1, depthwise = false }: { stride?: number; depthwise?: boolean } = {},
  ): string {
    const width = this.b.dimsOf(x)[1] as number;
    const inputs = depthwise ? 1 : width;
    const y = this.b.node(
      'Conv',
      [x, this.weights([out, inputs, ...kernel], inputs * kernel[0] * kernel[1])],
      {
        kernel_shape: kernel,
        strides: [stride, stride],
        auto_pad: 'SAME_UPPER',
        group: depthwise ? width : 1,
      },
    );
    return this.norm(y, out);
  }

  separable(x: string, out: number, stride = 1): string {
    const width = this.b.dimsOf(x)[1] as number;
    const deep = this.b.relu(this.conv(x, width, [3, 3], { stride, depthwise: true }));
    return this.b.relu(this.conv(deep, out, [1, 1]));
  }

  dense(x: string, out: number): string {
    const width = this.b.dimsOf(x)[1] as number;
    return this.b.gemm(x, this.weights([out, width], width), this.weights([out], 1));
  }

  classifier(x: string, classes: number): Graph {
    this.b.output(
      this.b.softmax(this.dense(this.b.flatten(this.b.globalAveragePool(x)), classes)),
      'classes',
    );
    return this.b.build();
  }
}

/** Keyword spotting: 49 frames of 10 coefficients. */
function depthwiseSeparable(): Graph {
  const net = new Layers('ds-cnn');
  let x = net.b.input('input', 'float32', [1, 1, 49, 10]);
  x = net.b.relu(net.conv(x, 64, [10, 4], { stride: 2 }));
  for (let block = 0; block < 4; block++) x = net.separable(x, 64);
  return net.classifier(x, 12);
}

/** Visual wake words. */
function mobileNet(): Graph {
  const net = new Layers('mobilenet-v1-0.25');
  let x = net.b.input('input', 'float32', [1, 3, 96, 96]);
  x = net.b.relu(net.conv(x, 8, [3, 3], { stride: 2 }));
  const blocks: [number, number][] = [
    [16, 1],
    [32, 2],
    [32, 1],
    [64, 2],
    [64, 1],
    [128, 2],
  ];
  for (let i = 0; i < 5; i++) blocks.push([128, 1]);
  blocks.push([256, 2], [256, 1]);
  for (const [width, stride] of blocks) x = net.separable(x, width, stride);
  return net.classifier(x, 2);
}

/** Image classification. */
function residual(): Graph {
  const net = new Layers('resnet-8');
  const { b } = net;
  let x = b.relu(net.conv(b.input('input', 'float32', [1, 3, 32, 32]), 16, [3, 3]));
  for (const [width, stride] of [
    [16, 1],
    [32, 2],
    [64, 2],
  ] as const) {
    const inner = net.conv(b.relu(net.conv(x, width, [3, 3], { stride })), width, [3, 3]);
    const shortcut = stride === 1 ? x : net.conv(x, width, [1, 1], { stride });
    x = b.relu(b.add(inner, shortcut));
  }
  return net.classifier(x, 10);
}

/** Anomaly detection: five frames of 128 bands. */
function autoencoder(): Graph {
  const net = new Layers('fc-autoencoder');
  let x = net.b.input('input', 'float32', [1, 640]);
  for (const width of [128, 128, 128, 128, 8, 128, 128, 128, 128])
    x = net.b.relu(net.norm(net.dense(x, width), width));
  net.b.output(net.dense(x, 640), 'output');
  return net.b.build();
}
