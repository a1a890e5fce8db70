import { floatTensor } from '../../../network/graph.js';
import type { GraphBuilder } from '../../../network/graph-builder.js';
import type { WeightSource } from '../contract.js';
import type { Choice, Layer, MbconvFile } from './file.js';

/** Convolution and batch normalisation, then ReLU6 unless linear. Weights by `<name>.weight` and `<name>.bn.*`. */
function emitConv(
  b: GraphBuilder,
  x: string,
  name: string,
  weights: WeightSource,
  o: {
    readonly out: number;
    readonly kernel: number;
    readonly stride?: number;
    readonly depthwise?: boolean;
    readonly linear?: boolean;
  },
): string {
  const inWidth = b.dimsOf(x)[1] as number;
  const constant = (key: string, dims: readonly number[]): string =>
    b.constant(`${name}.${key}`, floatTensor(dims, weights.tensor(`${name}.${key}`, dims)));
  const weight = constant('weight', [o.out, o.depthwise ? 1 : inWidth, o.kernel, o.kernel]);
  const conv = b.conv(x, weight, undefined, { stride: o.stride ?? 1, groups: o.depthwise ? inWidth : 1 });
  const [scale, bias, mean, variance] = ['scale', 'bias', 'mean', 'var'].map((key) =>
    constant(`bn.${key}`, [o.out]),
  ) as [string, string, string, string];
  const normal = b.batchNorm(conv, scale, bias, mean, variance);
  return o.linear ? normal : b.clip(normal, 0, 6);
}

export function emitStem(
  b: GraphBuilder,
  x: string,
  { stem, firstWidth }: MbconvFile,
  weights: WeightSource,
): string {
  const y = emitConv(b, x, 'stem', weights, { out: stem.width, kernel: stem.kernel, stride: stem.stride });
  const depthwise = emitConv(b, y, 'first.depthwise', weights, {
    out: stem.width,
    kernel: 3,
    depthwise: true,
  });
  return emitConv(b, depthwise, 'first.project', weights, { out: firstWidth, kernel: 1, linear: true });
}

/** Without expansion the depthwise kernels see other features: they share no weights with the expanded layer. */
export const tensorPrefix = (layer: string, { expansion }: Choice): string =>
  expansion === 1 ? `${layer}.plain` : layer;

/** MBConv: 1x1 expansion (none at 1), depthwise, linear 1x1 projection, identity shortcut where the shape stays. */
export function emitLayer(
  b: GraphBuilder,
  x: string,
  layer: Layer,
  choice: Choice | 'skip',
  weights: WeightSource,
): string {
  if (choice === 'skip') return x;
  const { inWidth, width, stride } = layer;
  const mid = inWidth * choice.expansion;
  const name = tensorPrefix(layer.name, choice);
  const expanded =
    choice.expansion === 1 ? x : emitConv(b, x, `${name}.expand`, weights, { out: mid, kernel: 1 });
  const depthwise = emitConv(b, expanded, `${name}.depthwise`, weights, {
    out: mid,
    kernel: choice.kernel,
    stride,
    depthwise: true,
  });
  const projected = emitConv(b, depthwise, `${name}.project`, weights, {
    out: width,
    kernel: 1,
    linear: true,
  });
  return stride === 1 && inWidth === width ? b.add(projected, x) : projected;
}

export function emitHead(
  b: GraphBuilder,
  x: string,
  { headWidth, classes }: MbconvFile,
  weights: WeightSource,
): string {
  const features = b.flatten(
    b.globalAveragePool(emitConv(b, x, 'head', weights, { out: headWidth, kernel: 1 })),
  );
  const weight = b.constant(
    'classifier.weight',
    floatTensor([classes, headWidth], weights.tensor('classifier.weight', [classes, headWidth])),
  );
  const bias = b.constant(
    'classifier.bias',
    floatTensor([classes], weights.tensor('classifier.bias', [classes])),
  );
  return b.gemm(features, weight, bias);
}
