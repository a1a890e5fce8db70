/**
 * `npm run bench -- instatune [--data DIR] [--images N] [--epochs N] [--networks N]`: what fine-tuning a given network as
 * a super-network gains its slices (InstaTune, Sridhar et al. 2023). The given network is the largest ViT of vit-fmnist
 * with the shipped weights, as ONNX alone; it is fine-tuned on Fashion-MNIST's training split without the last 2,512
 * images. Accuracies on the 2,000 validation images, as shares of 1: `given`, `before.*` and `after.*` (median, least and
 * largest sub-network).
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Architecture, architectureId } from '../../daemon/core/architecture.js';
import { systemClock } from '../../daemon/core/clock.js';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import { readIdxImages } from '../../daemon/data/labelled/idx-images.js';
import { sliceImages } from '../../daemon/data/labelled/labelled-images.js';
import { SupernetEvaluator } from '../../daemon/evaluate/supernet.js';
import { readOnnx } from '../../daemon/network/read-onnx.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import { instatuneSpace } from '../../daemon/search/spaces/papers/instatune.js';
import { parseTrainSpec } from '../../daemon/train/spec.js';
import { trainSupernet } from '../../daemon/train/train-supernet.js';
import { SharedWeights } from '../../daemon/train/weights/shared-weights.js';
import { supernetWeights } from '../../daemon/train/weights/supernet-weights.js';
import { openSpace } from './parts/measure-spaces.js';

const { values: flags } = parseArgs({
  options: {
    data: { type: 'string', default: '/usr/share/datasets/fashion-mnist' },
    images: { type: 'string', default: '12800' },
    epochs: { type: 'string', default: '2' },
    networks: { type: 'string', default: '21' },
    threads: { type: 'string', default: '1' },
  },
});
const { signal } = new AbortController();
const vit = openSpace('vit-fmnist');
const weights = supernetWeights('profiles/supernets', vit.id);
const given = writeOnnx(vit.network(vit.seeds?.().at(-1) as Architecture, weights));
const space = instatuneSpace('given-vit', readOnnx(given));
const [smallest, largest] = (space.seeds?.() ?? []) as [Architecture, Architecture];
console.log(
  `${space.dims?.length} decisions, ${space.size.toExponential(2)} sub-networks, ${given.length} bytes`,
);

const shipped = 'profiles/datasets/fashion-mnist';
const validation = await readIdxImages(shipped, 'validation');
const calibration = await readIdxImages(shipped, 'calibration');
const rng = Xoshiro128.fromSeed(1);
const sampled = new Map<string, Architecture>();
while (sampled.size < Number(flags.networks)) {
  const a = space.sample(rng);
  sampled.set(architectureId(space.id, a), a);
}

async function accuracies(name: string, source: SharedWeights | undefined): Promise<Record<string, number>> {
  const evaluator = new SupernetEvaluator({ space, weights: source, calibration, validation, source: name });
  const of = async (a: Architecture): Promise<number> =>
    (await evaluator.evaluate(a, { signal })).values.accuracy as number;
  const all: number[] = [];
  for (const a of sampled.values()) all.push(await of(a));
  all.sort((a, b) => a - b);
  const found = {
    [`${name}.median`]: all[all.length >> 1] as number,
    [`${name}.smallest`]: await of(smallest),
    [`${name}.largest`]: await of(largest),
  };
  await evaluator.close();
  console.log(JSON.stringify(found));
  return found;
}

const work = await mkdtemp(join(tmpdir(), 'hilda-instatune-'));
try {
  const before = await accuracies('before', undefined);
  const spec = parseTrainSpec({
    space: space.id,
    dataset: { folder: flags.data, heldOut: 2512 },
    epochs: Number(flags.epochs),
    batch: 128,
    optimizer: { kind: 'adamw', decay: 0.05 },
    rate: 0.0005,
    warmUpSteps: 20,
  });
  const all = await readIdxImages(flags.data, 'train');
  const tuned = await trainSupernet({
    space,
    spec,
    images: sliceImages(all, 0, Math.min(Number(flags.images), all.count - 2512)),
    validation: sliceImages(validation, 0, 0),
    classes: 10,
    clock: systemClock,
    signal,
    checkpointPath: join(work, 'checkpoint'),
    exportPath: join(work, 'weights.safetensors'),
    threads: Number(flags.threads),
    onProgress: ({ step, totalSteps, loss, trainedMs }) =>
      console.log(
        `step ${step}/${totalSteps} loss ${loss.toFixed(4)} after ${Math.round(trainedMs / 1000)} s`,
      ),
  });
  const after = await accuracies('after', new SharedWeights(tuned));
  console.log(JSON.stringify({ bench: 'instatune', figures: { ...before, ...after } }));
} finally {
  await rm(work, { recursive: true, force: true });
}
