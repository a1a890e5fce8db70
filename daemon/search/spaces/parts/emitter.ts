import { floatTensor } from '../../../network/graph.js';
import type { GraphBuilder } from '../../../network/graph-builder.js';
import type { WeightSource } from '../contract.js';

export type Activation = 'relu' | 'relu6' | 'hardSwish' | 'gelu' | 'none';

export interface ConvLayer {
  readonly out: number;
  readonly kernel: number;
  readonly stride?: number;
  readonly depthwise?: boolean;
  readonly activation?: Activation;
}

/** The layers that space kinds share, on top of a graph builder and a source of weights named `<layer>.<tensor>`. */
export class Emitter {
  constructor(
    readonly b: GraphBuilder,
    readonly weights: WeightSource,
  ) {}

  weight(name: string, dims: readonly number[]): string {
    return this.b.constant(name, floatTensor(dims, this.weights.tensor(name, dims)));
  }

  /** A constant of the method itself, which no training changes. */
  fixed(name: string, dims: readonly number[], values: Float32Array): string {
    return this.b.hasConstant(name) ? name : this.b.constant(name, floatTensor(dims, values));
  }

  activate(x: string, activation: Activation): string {
    switch (activation) {
      case 'relu':
        return this.b.relu(x);
      case 'relu6':
        return this.b.clip(x, 0, 6);
      case 'hardSwish':
        return this.b.hardSwish(x);
      case 'gelu':
        return this.b.gelu(x);
      case 'none':
        return x;
    }
  }

  batchNorm(x: string, name: string): string {
    const width = this.b.dimsOf(x)[1] as number;
    const [scale, bias, mean, variance] = ['scale', 'bias', 'mean', 'var'].map((key) =>
      this.weight(`${name}.bn.${key}`, [width]),
    ) as [string, string, string, string];
    return this.b.batchNorm(x, scale, bias, mean, variance);
  }

  /** Convolution [batch, channels, height, width], batch normalisation, activation. */
  conv(x: string, name: string, o: ConvLayer): string {
    const inWidth = this.b.dimsOf(x)[1] as number;
    const weight = this.weight(`${name}.weight`, [o.out, o.depthwise ? 1 : inWidth, o.kernel, o.kernel]);
    const y = this.b.conv(x, weight, undefined, {
      stride: o.stride ?? 1,
      groups: o.depthwise ? inWidth : 1,
    });
    return this.activate(this.batchNorm(y, name), o.activation ?? 'relu');
  }

  /** x [..., in] to [..., out]; weights [in, out]. */
  linear(x: string, name: string, out: number): string {
    const inWidth = this.b.dimsOf(x).at(-1) as number;
    const product = this.b.matMul(x, this.weight(`${name}.matrix`, [inWidth, out]));
    return this.b.add(product, this.weight(`${name}.bias`, [out]));
  }

  layerNorm(x: string, name: string): string {
    const width = this.b.dimsOf(x).at(-1) as number;
    return this.b.layerNorm(x, this.weight(`${name}.scale`, [width]), this.weight(`${name}.bias`, [width]));
  }

  /** Two linear layers with GELU between them, beside an identity shortcut, normalised before. */
  mlp(x: string, name: string, hidden: number): string {
    const width = this.b.dimsOf(x).at(-1) as number;
    const wide = this.b.gelu(this.linear(this.layerNorm(x, `${name}.norm`), `${name}.fc1`, hidden));
    return this.b.add(x, this.linear(wide, `${name}.fc2`, width));
  }

  /** [batch, channels, h, w] to [batch, h w, channels]. */
  toTokens(x: string): string {
    const [, channels, height, width] = this.b.dimsOf(x) as [number, number, number, number];
    return this.b.transpose(this.b.reshape(x, [0, channels, height * width]), [0, 2, 1]);
  }

  toImage(x: string, height: number, width: number): string {
    const channels = this.b.dimsOf(x).at(-1) as number;
    return this.b.reshape(this.b.transpose(x, [0, 2, 1]), [0, channels, height, width]);
  }

  /** Mean over height and width, then a classifier. */
  imageHead(x: string, name: string, classes: number): string {
    const features = this.b.flatten(this.b.globalAveragePool(x));
    const width = this.b.dimsOf(features)[1] as number;
    return this.b.gemm(
      features,
      this.weight(`${name}.weight`, [classes, width]),
      this.weight(`${name}.bias`, [classes]),
    );
  }

  /** Normalised mean over tokens, then a classifier. */
  tokenHead(x: string, name: string, classes: number): string {
    const pooled = this.b.reduceMean(this.layerNorm(x, `${name}.norm`), [1], 0);
    const width = this.b.dimsOf(pooled)[1] as number;
    return this.b.gemm(
      pooled,
      this.weight(`${name}.weight`, [classes, width]),
      this.weight(`${name}.bias`, [classes]),
    );
  }
}
