import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { systemClock } from '../../daemon/core/clock.js';
import { gaussian, Xoshiro128 } from '../../daemon/core/rng.js';
import { readIdxImages } from '../../daemon/data/labelled/idx-images.js';
import type { LabelledImages } from '../../daemon/data/labelled/labelled-images.js';
import { elementCount } from '../../daemon/network/graph.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';
import { loadSpace } from '../../daemon/search/spaces/registry.js';
import { Batches } from '../../daemon/train/batches.js';
import { oneArchitecture } from '../../daemon/train/one-architecture.js';
import { openTraining } from '../../daemon/train/open-training.js';
import { type OptimizerSpec, optimizerGraph, rateAt } from '../../daemon/train/optimizer.js';
import { parseTrainSpec } from '../../daemon/train/spec.js';
import { oneHot, shareRight, softened } from '../../daemon/train/targets.js';
import { type TrainOptions, trainSupernet } from '../../daemon/train/train-supernet.js';
import { tensorsOf } from '../../daemon/train/weights/initial-weights.js';
import {
  type NamedTensor,
  readSafetensors,
  writeSafetensors,
} from '../../daemon/train/weights/safetensors.js';
import { addCut, cut } from '../../daemon/train/weights/shared-weights.js';

const { signal } = new AbortController();
const normal = (count: number, seed: number): Float32Array => {
  const rng = Xoshiro128.fromSeed(seed);
  return Float32Array.from({ length: count }, () => gaussian(rng));
};

const space = loadSpace({
  kind: 'mbconv',
  id: 'small',
  input: [1, 8, 8],
  classes: 3,
  stem: { width: 4, kernel: 3, stride: 2 },
  firstWidth: 4,
  stages: [{ width: 4, layers: 2, stride: 1 }],
  kernels: [3, 5],
  expansions: [2, 3],
  skip: true,
  headWidth: 8,
});

/** Three classes that differ in which third of the image is bright. */
function images(count: number): LabelledImages {
  const pixels = normal(count * 64, 3);
  const labels = Uint8Array.from({ length: count }, (_, i) => i % 3);
  labels.forEach((label, i) => {
    for (let p = 0; p < 16; p++) pixels[i * 64 + label * 16 + p]! += 4;
  });
  return { count, channels: 1, height: 8, width: 8, pixels, labels };
}

const spec = parseTrainSpec({
  space: 'small',
  dataset: { folder: 'none' },
  epochs: 3,
  warmEpochs: 1,
  batch: 16,
  optimizer: { kind: 'adamw', decay: 0 },
  rate: 0.03,
  warmUpSteps: 2,
  keepSteps: 2,
  augmentation: { flip: true, shiftPixels: 1 },
  checkpointSteps: 5,
});

async function folder(t: Test): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'hilda-train-'));
  t.teardown(() => rm(path, { recursive: true, force: true }));
  return path;
}

const optionsIn = (work: string, more: Partial<TrainOptions> = {}): TrainOptions => ({
  space,
  spec,
  images: images(192),
  validation: images(32),
  classes: 3,
  clock: systemClock,
  signal,
  checkpointPath: join(work, 'checkpoint.safetensors'),
  exportPath: join(work, 'weights.safetensors'),
  threads: 1,
  onProgress: () => {},
  ...more,
});
const bytesOf = (tensors: ReadonlyMap<string, NamedTensor>): Buffer =>
  Buffer.from(writeSafetensors({ tensors, metadata: {} }));

t.test('training learns, and a run cut off anywhere ends with the same weights', async (t) => {
  const whole = await folder(t);
  const shown: { step: number; loss: number; validation?: { largest: number } }[] = [];
  const weights = await trainSupernet(optionsIn(whole, { reportSteps: 1, onProgress: (p) => shown.push(p) }));
  t.equal(shown.length, 36, 'three epochs of twelve steps');
  t.ok(shown.at(-1)!.loss < 0.6 * shown[0]!.loss, `loss ${shown[0]!.loss} to ${shown.at(-1)!.loss}`);
  t.ok(shown.at(-1)!.validation!.largest > 0.8, `validation ${shown.at(-1)!.validation!.largest}`);
  const exportedFile = readSafetensors(await readFile(join(whole, 'weights.safetensors')));
  t.ok(bytesOf(exportedFile.tensors).equals(bytesOf(weights)), 'the file holds what was answered');
  t.equal(exportedFile.metadata.step, '36');

  const broken = await folder(t);
  for (const stopAfterStep of [7, 23]) await trainSupernet(optionsIn(broken, { stopAfterStep }));
  const resumed = await trainSupernet(optionsIn(broken));
  t.ok(bytesOf(resumed).equals(bytesOf(weights)), 'bit for bit');

  const other = { ...spec, rate: 0.02 };
  await t.rejects(trainSupernet(optionsIn(broken, { spec: other })), { code: 'SUPERNET_INVALID' });
  await writeFile(join(broken, 'checkpoint.safetensors'), 'damaged');
  await t.rejects(trainSupernet(optionsIn(broken)), { code: 'SUPERNET_INVALID' });
});

t.test('parts of a batch in processes of their own give the gradient of the whole', async (t) => {
  // Layer normalisation, unlike batch normalisation, sees one image at a time: the parts must add up to the whole.
  const vit = loadSpace({
    kind: 'vit',
    id: 'small-vit',
    input: [1, 8, 8],
    classes: 3,
    patches: [4],
    embeddings: [4, 8],
    depths: [1],
    rankRatios: [0.5],
    heads: [1],
    headWidth: 4,
    mlpRatios: [1],
  });
  // Adam would turn the rounding of a gradient that is zero (a key's bias) into a step.
  const optimizer = { kind: 'sgd' as const, momentum: 0.9, decay: 0, maxNorm: 5 };
  const after = async (processes: number): Promise<ReadonlyMap<string, NamedTensor>> => {
    const shared = { space: vit, stopAfterStep: 3, spec: { ...spec, optimizer, processes, warmEpochs: 0 } };
    return trainSupernet(optionsIn(await folder(t), shared));
  };
  const [one, two] = [await after(1), await after(2)];
  for (const [name, { data }] of one) {
    const other = two.get(name)!.data;
    t.ok(
      data.every((value, i) => Math.abs(value - other[i]!) < 2e-3),
      name,
    );
  }
  t.throws(() => parseTrainSpec({ ...spec, processes: 3 }), { code: 'SPEC_INVALID' });
});

t.test('one architecture trains alone, with its own sizes', async (t) => {
  const architecture = [0, 0];
  const only = oneArchitecture(space, architecture);
  const work = await folder(t);
  let last = { trainAccuracy: 0 };
  const options = { space: only, onProgress: (p: { trainAccuracy: number }) => (last = p) };
  const weights = await trainSupernet(optionsIn(work, options as Partial<TrainOptions>));
  t.same(
    [...weights].map(([name, { dims }]) => [name, dims]),
    [...tensorsOf(space, architecture)],
  );
  t.ok(last.trainAccuracy > 0.6, `${last.trainAccuracy}`);
});

t.test('a loss without bound, and an abort, are errors with a code', async (t) => {
  const wild = { ...spec, rate: 1e30, warmUpSteps: 0 };
  await t.rejects(trainSupernet(optionsIn(await folder(t), { spec: wild })), { code: 'SPEC_INVALID' });
  const abort = new AbortController();
  const options = { signal: abort.signal, reportSteps: 1, onProgress: () => abort.abort() };
  await t.rejects(trainSupernet(optionsIn(await folder(t), options)), { code: 'INTERRUPTED' });
});

t.test('weight cutting: addCut is the adjoint of cut', async (t) => {
  const axis = fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 0, max: 3 }));
  // Kernels differ by an even number of taps.
  const kernel = fc.tuple(fc.constantFrom(1, 3), fc.constantFrom(0, 2, 4));
  const shapes = fc.oneof(
    fc.array(axis, { minLength: 0, maxLength: 3 }),
    fc.tuple(axis, axis, kernel, kernel).map((list) => [...list]),
  );
  fc.assert(
    fc.property(shapes, fc.integer(), (axes, seed) => {
      const part = axes.map(([size]) => size);
      const dims = axes.map(([size, more]) => size + more);
      const full = { dims, data: normal(elementCount(dims), seed) };
      const gradient = normal(elementCount(part), seed + 1);
      const taken = cut(full, part);
      const back = { dims, data: new Float32Array(elementCount(dims)) };
      addCut(back, part, gradient);
      const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
      return Math.abs(dot(taken, gradient) - dot(full.data, back.data)) < 1e-3;
    }),
  );
  const kernels = { dims: [1, 1, 5, 5], data: Float32Array.from({ length: 25 }, (_, i) => i) };
  t.same(
    [...cut(kernels, [1, 1, 3, 3])],
    [6, 7, 8, 11, 12, 13, 16, 17, 18],
    'kernels are cropped around their centre',
  );
});

t.test('safetensors: what is written is read, from any kind of bytes', async (t) => {
  const tensors = new Map([
    ['a', { dims: [2, 3], data: normal(6, 1) }],
    ['odd name', { dims: [], data: normal(1, 2) }],
  ]);
  const bytes = writeSafetensors({ tensors, metadata: { step: '7' } });
  // A Buffer's slice shares memory and may lie unaligned; both must be harmless.
  const shifted = Buffer.concat([Buffer.from([0]), bytes]).subarray(1);
  for (const source of [bytes, Buffer.from(bytes), shifted]) {
    const read = readSafetensors(source);
    t.same(read.metadata, { step: '7' });
    for (const [name, { dims, data }] of tensors) t.same(read.tensors.get(name), { dims, data });
  }
  for (const damaged of [
    bytes.subarray(0, 4),
    bytes.subarray(0, 60),
    bytes.subarray(0, bytes.length - 1),
    new Uint8Array(64),
  ]) {
    t.throws(() => readSafetensors(damaged), { code: 'SUPERNET_INVALID' });
  }
});

t.test('batches are a function of seed and step, and an epoch shows every image once', async (t) => {
  const source = images(50);
  const make = (seed: number) =>
    new Batches(source, { size: 10, seed, augmentation: { flip: false, shiftPixels: 0 } });
  const [one, two] = [make(1), make(1)];
  const seen: string[] = [];
  for (let step = 0; step < one.stepsPerEpoch; step++) {
    const batch = one.at(step);
    for (let i = 0; i < 10; i++) seen.push(batch.images.subarray(i * 64, (i + 1) * 64).join());
  }
  t.equal(new Set(seen).size, 50);
  t.same(two.at(7), one.at(7), 'out of order too');
  t.notSame(make(2).at(7), one.at(7));
  const flipped = new Batches(source, { size: 50, seed: 1, augmentation: { flip: true, shiftPixels: 0 } }).at(
    0,
  );
  const plain = new Batches(source, { size: 50, seed: 1, augmentation: { flip: false, shiftPixels: 0 } }).at(
    0,
  );
  let mirrored = 0;
  for (let i = 0; i < 50; i++) {
    const row = (from: Float32Array) => [...from.subarray(i * 64, i * 64 + 8)];
    if (row(flipped.images).join() !== row(plain.images).join()) {
      mirrored += 1;
      t.same(row(flipped.images), row(plain.images).reverse());
    }
  }
  t.ok(mirrored > 10 && mirrored < 40, `${mirrored} of 50 mirrored`);
});

/** The published update rules in plain numbers, one weight. */
function reference(kind: OptimizerSpec, gradients: readonly number[], rate: number, start: number): number {
  let [weight, first, second] = [start, 0, 0];
  gradients.forEach((gradient, i) => {
    const g = gradient * (kind.maxNorm / Math.max(kind.maxNorm, Math.abs(gradient)));
    if (kind.kind === 'sgd') {
      const slope = g + kind.decay * weight;
      first = kind.momentum * first + slope;
      weight -= rate * (slope + kind.momentum * first);
    } else {
      first = kind.beta1 * first + (1 - kind.beta1) * g;
      second = kind.beta2 * second + (1 - kind.beta2) * g * g;
      const [m, v] = [first / (1 - kind.beta1 ** (i + 1)), second / (1 - kind.beta2 ** (i + 1))];
      weight -= rate * (m / (Math.sqrt(v) + kind.epsilon) + kind.decay * weight);
    }
  });
  return weight;
}

t.test('optimisers follow their published rules; rates warm up and fall to zero', async (t) => {
  const runtime = new SessionProcess();
  t.teardown(() => runtime.stop());
  const kinds: OptimizerSpec[] = [
    { kind: 'sgd', momentum: 0.9, decay: 0.01, maxNorm: 1 },
    { kind: 'adamw', beta1: 0.9, beta2: 0.99, epsilon: 1e-8, decay: 0.1, maxNorm: 1 },
  ];
  const gradients = [0.3, -0.2, 5, 0.1, -0.4];
  for (const kind of kinds) {
    const { graph, state, scalars } = optimizerGraph(kind, Float32Array.of(1));
    const { handle } = await runtime.load(writeOnnx(graph));
    let values: Record<string, Float32Array> = Object.fromEntries(
      state.map((name) => [name, Float32Array.of(0)]),
    );
    values.weights = Float32Array.of(0.7);
    for (const [i, gradient] of gradients.entries()) {
      const scalar = Object.entries({ rate: 0.05, ...scalars(i + 1) }).map(
        ([name, value]) =>
          [name, { type: 'float32' as const, dims: [], data: Float32Array.of(value) }] as const,
      );
      const vectors = Object.entries({ ...values, gradient: Float32Array.of(gradient) }).map(
        ([name, data]) => [name, { type: 'float32' as const, dims: [1], data }] as const,
      );
      const answers = await runtime.run(handle, Object.fromEntries([...scalar, ...vectors]));
      values = Object.fromEntries(
        ['weights', ...state].map((name) => [name, answers[`${name}.next`]?.data as Float32Array]),
      );
    }
    const expected = reference(kind, gradients, 0.05, 0.7);
    t.ok(Math.abs(values.weights![0]! - expected) < 1e-5, `${kind.kind}: ${values.weights![0]} ${expected}`);
  }
  const schedule = { rate: 0.1, warmUpSteps: 10, totalSteps: 110 };
  t.equal(rateAt(0, schedule), 0.01);
  t.equal(rateAt(10, schedule), 0.1);
  t.ok(Math.abs(rateAt(60, schedule) - 0.05) < 1e-12);
  t.ok(rateAt(110, schedule) < 1e-12);
});

t.test('targets', async (t) => {
  const hard = oneHot(Uint8Array.of(1, 0), 4, 0.2);
  t.same(
    [...hard].map((value) => Math.round(value * 100)),
    [5, 85, 5, 5, 85, 5, 5, 5],
  );
  const mixed = softened(Float32Array.of(1, 0), Float32Array.of(0.5, 0.5), 0.5);
  t.same([...mixed], [0.75, 0.25]);
  t.equal(shareRight(Float32Array.of(0.1, 0.9, 0.8, 0.2), Uint8Array.of(1, 1)), 0.5);
});

t.test('what a specification names is checked', async (t) => {
  const profiles = fileURLToPath(new URL('../../../profiles', import.meta.url));
  const shipped = {
    ...spec,
    space: 'mbconv-fmnist',
    dataset: {
      folder: join(profiles, 'datasets/fashion-mnist'),
      split: 'calibration',
      heldOut: 64,
      validation: 64,
    },
  };
  const parts = await openTraining(shipped, profiles);
  t.same([parts.images.count, parts.validation.count, parts.classes], [448, 64, 10]);
  const alone = await openTraining(
    { ...shipped, architecture: parts.space.seeds!()[0] as number[] },
    profiles,
  );
  t.equal(alone.space.seeds!().length, 1);
  await t.rejects(openTraining({ ...shipped, architecture: [99] }, profiles), {
    code: 'ARCHITECTURE_INVALID',
  });
  for (const space of ['none', 'mbconv-fmnist-formats'])
    await t.rejects(openTraining({ ...shipped, space }, profiles), { code: 'SPEC_INVALID' });
  await t.rejects(openTraining({ ...shipped, space: 'proxylessnas-imagenet' }, profiles), {
    code: 'SPEC_INVALID',
  });
  const dataset = { ...shipped.dataset, heldOut: 510 };
  await t.rejects(openTraining({ ...shipped, dataset }, profiles), { code: 'SPEC_INVALID' });
  t.throws(() => parseTrainSpec({ ...spec, warmEpochs: 9 }), { code: 'SPEC_INVALID' });
  t.throws(() => parseTrainSpec({ ...spec, pace: 1 }), { code: 'SPEC_INVALID' });

  const work = await folder(t);
  await t.rejects(readIdxImages(work, 'train'), { code: 'DATASET_MISSING' });
  const header = Buffer.from([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1]);
  await writeFile(join(work, 'x-images-idx3-ubyte.gz'), gzipSync(Buffer.concat([header, Buffer.from([1])])));
  await t.rejects(readIdxImages(work, 'x'), { code: 'DATASET_MISSING' }, 'one of two images');
});
