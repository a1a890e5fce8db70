/**
 * `npm run bench -- projection [--folds N] [--seeds N] [--epochs N]`: what an hourglass MLP loses when its fixed projection
 * holds signs, which a board can generate, instead of normal values. The smallest and the largest network of
 * hourglass-mlp are trained with either on four fifths of the 2,512 shipped Fashion-MNIST images and judged on the rest,
 * fold by fold: the same images, seeds and order for both. `*.float` and `*.int8` are the mean accuracy with signs minus
 * that with normal values, `*.error` the standard error of that difference, `normal.*` and `signs.*` the accuracies.
 * These networks serve this comparison alone; nothing that ships was trained on these images.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Architecture } from '../../daemon/core/architecture.js';
import { systemClock } from '../../daemon/core/clock.js';
import { gaussian, Xoshiro128 } from '../../daemon/core/rng.js';
import { readIdxImages } from '../../daemon/data/labelled/idx-images.js';
import type { LabelledImages } from '../../daemon/data/labelled/labelled-images.js';
import { activationRanges } from '../../daemon/evaluate/activation-ranges.js';
import { rightAnswers } from '../../daemon/evaluate/classify.js';
import { floatTensor, type Graph } from '../../daemon/network/graph.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';
import type { Space } from '../../daemon/search/spaces/contract.js';
import { hourglassFileSchema, hourglassSpace } from '../../daemon/search/spaces/papers/hourglass.js';
import { oneArchitecture } from '../../daemon/train/one-architecture.js';
import { readSpaceFile } from '../../daemon/train/open-training.js';
import { parseTrainSpec } from '../../daemon/train/spec.js';
import { trainSupernet } from '../../daemon/train/train-supernet.js';
import { SharedWeights } from '../../daemon/train/weights/shared-weights.js';
import { type CompilerBoard, compile, countRight } from '../../firmware-bridge/compiler/index.js';

const { values: flags } = parseArgs({
  options: {
    folds: { type: 'string', default: '5' },
    seeds: { type: 'string', default: '2' },
    epochs: { type: 'string', default: '30' },
  },
});
const { signal } = new AbortController();
const folds = Number(flags.folds);
const board: CompilerBoard = {
  weightLayout: 'dsp',
  arenaBytes: 2 ** 18,
  flashBytes: 2 ** 20,
  weightsAt: 'flash',
  poolBytes: 0,
  fetchesInput: false,
};

/** The same space with normal values over the square root of their number, from one stream an input. */
function withNormalValues(space: Space, seed: number): Space {
  const network: Space['network'] = (architecture, weights) => {
    const graph = space.network(architecture, weights);
    const initializers = new Map(graph.initializers);
    for (const [name, { dims }] of graph.initializers) {
      if (!name.startsWith('generated.')) continue;
      const [inputs, outputs] = dims as readonly [number, number];
      const values = Array.from({ length: inputs }, (_, i) => {
        const rng = Xoshiro128.fromSeed(Math.imul(seed, 0x9e3779b1) + i);
        return Array.from({ length: outputs }, () => gaussian(rng) / Math.sqrt(inputs));
      });
      initializers.set(name, floatTensor(dims, values.flat()));
    }
    return { ...graph, initializers };
  };
  return { ...space, network };
}

/** Images of a fold's test part, and all others. */
function split(
  all: readonly LabelledImages[],
  fold: number,
): { test: LabelledImages; train: LabelledImages } {
  const [first] = all as readonly [LabelledImages];
  const size = first.pixels.length / first.count;
  const items = all.flatMap(({ pixels, labels, count }) =>
    Array.from({ length: count }, (_, i) => ({
      image: pixels.subarray(i * size, (i + 1) * size),
      label: labels[i] as number,
    })),
  );
  const some = (wanted: (i: number) => boolean): LabelledImages => {
    const kept = items.filter((_, i) => wanted(i));
    const pixels = new Float32Array(kept.length * size);
    kept.forEach(({ image }, i) => {
      pixels.set(image, i * size);
    });
    return { ...first, count: kept.length, pixels, labels: Uint8Array.from(kept, ({ label }) => label) };
  };
  return { test: some((i) => i % folds === fold), train: some((i) => i % folds !== fold) };
}

interface Accuracy {
  readonly float: number;
  readonly int8: number;
}

async function trained(
  space: Space,
  architecture: Architecture,
  { test, train }: { readonly test: LabelledImages; readonly train: LabelledImages },
  seed: number,
): Promise<Accuracy> {
  const work = await mkdtemp(join(tmpdir(), 'hilda-projection-'));
  const runtime = new SessionProcess();
  try {
    const weights = await trainSupernet({
      space: oneArchitecture(space, architecture),
      spec: parseTrainSpec({
        space: space.id,
        dataset: { folder: '' },
        seed,
        epochs: Number(flags.epochs),
        batch: 64,
        randomArchitectures: 0,
        optimizer: { kind: 'adamw', decay: 0.05 },
        rate: 0.002,
        warmUpSteps: 30,
      }),
      images: train,
      validation: { ...test, count: 0 },
      classes: 10,
      clock: systemClock,
      signal,
      checkpointPath: join(work, 'checkpoint'),
      exportPath: join(work, 'weights.safetensors'),
      threads: 1,
      onProgress: () => undefined,
    });
    const graph: Graph = space.network(architecture, new SharedWeights(weights));
    const right = await rightAnswers(graph, test, runtime, { signal });
    const compiled = await compile(graph, {
      board,
      weights: 'real',
      calibration: (network, values) => activationRanges(network, values, train, runtime, { signal }),
    });
    return {
      float: right.reduce((sum, one) => sum + one, 0) / test.count,
      int8: countRight(compiled, test.pixels, test.labels) / test.count,
    };
  } finally {
    await runtime.stop();
    await rm(work, { recursive: true, force: true });
  }
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
const standardError = (values: readonly number[]): number =>
  Math.sqrt(mean(values.map((v) => (v - mean(values)) ** 2)) / (values.length - 1));

const file = hourglassFileSchema.parse(readSpaceFile('hourglass-mlp', 'profiles'));
const images = await Promise.all(
  ['calibration', 'validation'].map((part) => readIdxImages('profiles/datasets/fashion-mnist', part)),
);
const figures: Record<string, number> = {};
const [smallest, largest] = (hourglassSpace(file).seeds?.() ?? []) as [Architecture, Architecture];
for (const [size, architecture] of [
  ['smallest', smallest],
  ['largest', largest],
] as const) {
  const pairs: { readonly signs: Accuracy; readonly normal: Accuracy }[] = [];
  for (let fold = 0; fold < folds; fold++)
    for (let seed = 1; seed <= Number(flags.seeds); seed++) {
      const space = hourglassSpace({ ...file, seed });
      const parts = split(images, fold);
      const normal = await trained(withNormalValues(space, seed), architecture, parts, seed);
      const signs = await trained(space, architecture, parts, seed);
      pairs.push({ signs, normal });
      console.log(`${size}, fold ${fold + 1}, seed ${seed}: ${JSON.stringify({ normal, signs })}`);
    }
  for (const kind of ['float', 'int8'] as const) {
    const differences = pairs.map(({ signs, normal }) => signs[kind] - normal[kind]);
    figures[`${size}.${kind}`] = mean(differences);
    figures[`${size}.${kind}.error`] = standardError(differences);
    figures[`${size}.normal.${kind}`] = mean(pairs.map(({ normal }) => normal[kind]));
    figures[`${size}.signs.${kind}`] = mean(pairs.map(({ signs }) => signs[kind]));
  }
}
console.log(JSON.stringify({ bench: 'projection', figures }));
