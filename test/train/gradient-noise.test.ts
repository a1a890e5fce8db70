/** Annealed gradient noise on Neelakantan et al.'s case: a deep MLP whose every weight starts at zero. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { systemClock } from '../../daemon/core/clock.js';
import { gaussian, Xoshiro128 } from '../../daemon/core/rng.js';
import type { LabelledImages } from '../../daemon/data/labelled/labelled-images.js';
import { elementCount, floatTensor } from '../../daemon/network/graph.js';
import { GraphBuilder } from '../../daemon/network/graph-builder.js';
import type { Space } from '../../daemon/search/spaces/contract.js';
import { parseTrainSpec } from '../../daemon/train/spec.js';
import { trainSupernet } from '../../daemon/train/train-supernet.js';

const [layers, width, classes] = [20, 24, 3];

/** Twenty hidden layers of ReLU; all weights zero, so that no slope but the last bias's is anything else. */
const mlp: Space = {
  id: 'zero-mlp',
  dims: [],
  size: 1,
  sample: () => [],
  mutate: () => [],
  normalise: () => [],
  stats: () => ({ macs: 0, parameters: 0, weightBytes: 0, peakActivationBytes: 0 }),
  features: () => new Map(),
  seeds: () => [[]],
  weights: { tensor: (_, dims) => new Float32Array(elementCount(dims)) },
  network(_, weights) {
    const b = new GraphBuilder({ name: 'zero-mlp' });
    const layer = (x: string, name: string, out: number): string => {
      const inWidth = b.dimsOf(x)[1] as number;
      const constant = (key: string, dims: readonly number[]): string =>
        b.constant(
          `${name}.${key}`,
          floatTensor(dims, weights?.tensor(`${name}.${key}`, dims) ?? new Float32Array(elementCount(dims))),
        );
      return b.gemm(x, constant('weight', [out, inWidth]), constant('bias', [out]));
    };
    let x = b.flatten(b.input('input', 'float32', [1, 1, 4, 4]));
    for (let l = 0; l < layers; l++) x = b.relu(layer(x, `layer${l}`, width));
    b.output(layer(x, 'classifier', classes), 'logits');
    return b.build();
  },
};

function images(count: number): LabelledImages {
  const rng = Xoshiro128.fromSeed(7);
  const pixels = Float32Array.from({ length: count * 16 }, () => 0.5 * gaussian(rng));
  const labels = Uint8Array.from({ length: count }, (_, i) => i % classes);
  labels.forEach((label, i) => {
    for (let p = 0; p < 5; p++) pixels[i * 16 + label * 5 + p]! += 2;
  });
  return { count, channels: 1, height: 4, width: 4, pixels, labels };
}

t.test('a 20-layer MLP from zero weights trains with gradient noise and fails without', async (t) => {
  const work = await mkdtemp(join(tmpdir(), 'hilda-noise-'));
  t.teardown(() => rm(work, { recursive: true, force: true }));
  const accuracy = async (gradientNoise: number | undefined, seed: number): Promise<number> => {
    let last = 0;
    await trainSupernet({
      space: mlp,
      spec: parseTrainSpec({
        space: 'zero-mlp',
        dataset: { folder: 'none' },
        epochs: 40,
        seed,
        batch: 48,
        // Plain descent and a clipped slope, as the authors' fifth experiment has them.
        optimizer: { kind: 'sgd', momentum: 0, decay: 0, maxNorm: 10 },
        rate: 0.3,
        warmUpSteps: 0,
        augmentation: { flip: false },
        checkpointSteps: 1_000_000,
        ...(gradientNoise !== undefined && { gradientNoise }),
      }),
      images: images(480),
      validation: { ...images(0) },
      classes,
      clock: systemClock,
      signal: new AbortController().signal,
      checkpointPath: join(work, `${gradientNoise}.${seed}.checkpoint`),
      exportPath: join(work, `${gradientNoise}.${seed}.safetensors`),
      threads: 1,
      reportSteps: 20,
      onProgress: ({ trainAccuracy }) => {
        last = trainAccuracy;
      },
    });
    return last;
  };
  const without = await accuracy(undefined, 1);
  t.ok(without < 0.4, `without noise it answers one class for all: ${without}`);
  for (const seed of [1, 2]) {
    const noisy = await accuracy(0.3, seed);
    t.ok(noisy > 0.9, `with noise, seed ${seed}: ${noisy}`);
  }
});
