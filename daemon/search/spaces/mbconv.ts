import { z } from 'zod';
import type { Architecture } from '../../core/architecture.js';
import { costFeatures, countCost, type NetworkCost } from '../../network/cost.js';
import { floatTensor, type Graph } from '../../network/graph.js';
import { GraphBuilder } from '../../network/graph-builder.js';
import type { Dim, FreeStats, Space, WeightSource } from './contract.js';
import { distinct, imageFile, size } from './file-fields.js';
import { indexMoves } from './index-moves.js';
import { mbconvBlocks } from './mbconv-blocks.js';
import { randomWeights } from './random-weights.js';

const odd = z
  .number()
  .int()
  .min(1)
  .max(15)
  .refine((k) => k % 2 === 1, 'an odd kernel size');

/** ProxylessNAS's space (Cai, Zhu and Han, ICLR 2019, section 4) with its stages, widths and input as parameters. */
export const mbconvFileSchema = z.strictObject({
  ...imageFile('mbconv'),
  stem: z.strictObject({ width: size, kernel: odd, stride: z.number().int().min(1).max(4) }),
  /** Width of the fixed first block: depthwise 3x3 without expansion. */
  firstWidth: size,
  stages: z
    .array(
      z.strictObject({
        width: size,
        layers: z.number().int().min(1).max(12),
        stride: z.number().int().min(1).max(2),
      }),
    )
    .min(1)
    .max(12),
  kernels: distinct(odd),
  expansions: distinct(z.number().int().min(1).max(12)),
  /** Whether layers that keep size and width may be left out, so that depth is searched. */
  skip: z.boolean(),
  headWidth: size,
});

export type MbconvFile = z.infer<typeof mbconvFileSchema>;

export interface Choice {
  readonly kernel: number;
  readonly expansion: number;
}

export interface Layer {
  readonly name: string;
  readonly inWidth: number;
  readonly width: number;
  readonly stride: number;
  /** Height and width of the input. */
  readonly inDims: readonly [number, number];
  readonly choices: readonly (Choice | 'skip')[];
}

export function mbconvSpace(file: MbconvFile): Space {
  const layers = listLayers(file);
  const dims: Dim[] = layers.map(({ name, choices }) => ({ name, choices: choices.map(choiceName) }));
  const moves = indexMoves(file.id, dims, (indices) => indices);
  const chosen = (indices: readonly number[]): (Choice | 'skip')[] =>
    layers.map((layer, i) => layer.choices[indices[i] as number] as Choice | 'skip');

  const network = (architecture: Architecture, weights: WeightSource = randomWeights): Graph => {
    const b = new GraphBuilder({ name: file.id });
    let x = emitStem(b, b.input('input', 'float32', [1, ...file.input]), file, weights);
    chosen(moves.normalise(architecture)).forEach((choice, i) => {
      x = emitLayer(b, x, layers[i] as Layer, choice, weights);
    });
    b.output(emitHead(b, x, file, weights), 'logits');
    return b.build();
  };

  // Parts are joined by one value, so a network's features are the sum of its parts'; each part is counted once.
  const last = layers.at(-1) as Layer;
  const ends = partFeatures([1, ...file.input], (b, x) => emitStem(b, x, file, randomWeights));
  const lastDims = last.inDims.map((d) => Math.ceil(d / last.stride));
  const head = partFeatures(
    [1, last.width, ...lastDims],
    (b, x) => emitHead(b, x, file, randomWeights),
    'logits',
  );
  const parts = new Map<string, ReadonlyMap<string, number>>();
  const layerFeatures = (i: number, index: number): ReadonlyMap<string, number> => {
    const key = `${i} ${index}`;
    const layer = layers[i] as Layer;
    const known =
      parts.get(key) ??
      partFeatures([1, layer.inWidth, ...layer.inDims], (b, x) =>
        emitLayer(b, x, layer, layer.choices[index] as Choice | 'skip', randomWeights),
      );
    parts.set(key, known);
    return known;
  };
  const statsByKey = new Map<string, FreeStats>();

  return {
    id: file.id,
    dims,
    size: dims.reduce((product, dim) => product * dim.choices.length, 1),
    ...moves,
    network,
    stats(architecture) {
      const key = moves.normalise(architecture).join();
      const known = statsByKey.get(key) ?? freeStats(network(architecture));
      statsByKey.set(key, known);
      return known;
    },
    features(architecture) {
      const sum = new Map(ends);
      const chosenParts = moves.normalise(architecture).map((index, i) => layerFeatures(i, index));
      for (const part of [...chosenParts, head]) {
        for (const [key, value] of part) sum.set(key, (sum.get(key) ?? 0) + value);
      }
      return sum;
    },
    blocks(architecture) {
      return mbconvBlocks(
        file,
        chosen(moves.normalise(architecture)).map((choice, i) => ({
          ...(layers[i] as Layer),
          choice,
          choiceName: choiceName(choice),
        })),
      );
    },
    /** The smallest and the largest architecture, by kernel, expansion and depth. */
    seeds: () => [
      layers.map(({ choices }) => extreme(choices, -1)),
      layers.map(({ choices }) => extreme(choices, 1)),
    ],
  };
}

export function freeStats(network: Graph | NetworkCost): FreeStats {
  const { macs, parameters, weightBytes, peakActivationBytes } =
    'operators' in network ? network : countCost(network);
  return { macs, parameters, weightBytes, peakActivationBytes };
}

const choiceName = (choice: Choice | 'skip'): string =>
  choice === 'skip' ? 'skip' : `k${choice.kernel}e${choice.expansion}`;

function extreme(choices: readonly (Choice | 'skip')[], sign: 1 | -1): number {
  const weight = (choice: Choice | 'skip'): number =>
    choice === 'skip' ? 0 : choice.expansion * 1000 + choice.kernel;
  return choices.reduce(
    (best, choice, i) => (sign * (weight(choice) - weight(choices[best] as Choice | 'skip')) > 0 ? i : best),
    0,
  );
}

export function listLayers(file: MbconvFile): Layer[] {
  const layers: Layer[] = [];
  const halve = (dims: readonly [number, number], stride: number): [number, number] => [
    Math.ceil(dims[0] / stride),
    Math.ceil(dims[1] / stride),
  ];
  let inWidth = file.firstWidth;
  let inDims = halve([file.input[1], file.input[2]], file.stem.stride);
  const operators = file.expansions.flatMap((expansion) =>
    file.kernels.map((kernel) => ({ kernel, expansion })),
  );
  file.stages.forEach((stage, s) => {
    for (let l = 0; l < stage.layers; l++) {
      const stride = l === 0 ? stage.stride : 1;
      const skippable = file.skip && stride === 1 && inWidth === stage.width;
      layers.push({
        name: `stage${s + 1}.layer${l + 1}`,
        inWidth,
        width: stage.width,
        stride,
        inDims,
        choices: skippable ? [...operators, 'skip'] : operators,
      });
      inWidth = stage.width;
      inDims = halve(inDims, stride);
    }
  });
  return layers;
}

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

/** Cost features of one part of a network, given its input's shape. */
function partFeatures(
  dims: readonly number[],
  emit: (b: GraphBuilder, x: string) => string,
  output?: string,
): ReadonlyMap<string, number> {
  const b = new GraphBuilder({ name: 'part' });
  const x = b.input('x', 'float32', dims);
  const y = emit(b, x);
  if (y === x) return new Map();
  b.output(y, output);
  return costFeatures(countCost(b.build()));
}
