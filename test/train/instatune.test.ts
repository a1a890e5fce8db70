/** A user's network as a super-network: from a file of the profiles to a fine-tuned one that a study scores. */
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { type Architecture, architectureId } from '../../daemon/core/architecture.js';
import { systemClock } from '../../daemon/core/clock.js';
import { gaussian, Xoshiro128 } from '../../daemon/core/rng.js';
import type { LabelledImages } from '../../daemon/data/labelled/labelled-images.js';
import { labelledSpecSchema } from '../../daemon/data/labelled/spec.js';
import { openSupernet } from '../../daemon/evaluate/open-supernet.js';
import { SupernetEvaluator } from '../../daemon/evaluate/supernet.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import type { Space } from '../../daemon/search/spaces/contract.js';
import { loadSpace } from '../../daemon/search/spaces/registry.js';
import { openStudyParts, resolveSpace } from '../../daemon/study/parts.js';
import { parseStudySpec } from '../../daemon/study/spec.js';
import { oneArchitecture } from '../../daemon/train/one-architecture.js';
import { openSpace } from '../../daemon/train/open-space.js';
import { parseTrainSpec } from '../../daemon/train/spec.js';
import { trainSupernet } from '../../daemon/train/train-supernet.js';
import { SharedWeights } from '../../daemon/train/weights/shared-weights.js';

t.setTimeout(900_000);
const { signal } = new AbortController();
const shippedProfiles = fileURLToPath(new URL('../../../profiles', import.meta.url));

const vit = loadSpace({
  kind: 'vit',
  id: 'small-vit',
  input: [1, 8, 8],
  classes: 3,
  patches: [4],
  embeddings: [12],
  depths: [2],
  rankRatios: [0.9],
  heads: [4],
  headWidth: 4,
  mlpRatios: [3],
});

/** Three classes, told by which third of the image is brighter, in noise. */
function images(count: number, seed: number): LabelledImages {
  const rng = Xoshiro128.fromSeed(seed);
  const pixels = Float32Array.from({ length: count * 64 }, () => gaussian(rng));
  const labels = Uint8Array.from({ length: count }, (_, i) => i % 3);
  labels.forEach((label, i) => {
    for (let p = 0; p < 20; p++) pixels[i * 64 + label * 20 + p]! += 1;
  });
  return { count, channels: 1, height: 8, width: 8, pixels, labels };
}

const [seen, unseen] = [images(480, 1), images(300, 2)];

async function train(space: Space, work: string, epochs: number) {
  const spec = parseTrainSpec({
    space: space.id,
    dataset: { folder: 'none' },
    epochs,
    batch: 32,
    optimizer: { kind: 'adamw', decay: 0 },
    rate: 0.01,
    warmUpSteps: 5,
    augmentation: { flip: false },
  });
  return trainSupernet({
    space,
    spec,
    images: seen,
    validation: images(0, 3),
    classes: 3,
    clock: systemClock,
    signal,
    checkpointPath: join(work, `${space.id}.checkpoint`),
    exportPath: join(work, space.id, 'weights.safetensors'),
    threads: 1,
    onProgress: () => {},
  });
}

t.test('fine-tuning lifts the median sub-network of a given ViT', async (t) => {
  const profiles = await mkdtemp(join(tmpdir(), 'hilda-instatune-'));
  t.teardown(() => rm(profiles, { recursive: true, force: true }));
  for (const folder of ['networks', 'spaces', 'supernets']) await mkdir(join(profiles, folder));
  for (const folder of ['datasets', 'protocols'])
    await cp(join(shippedProfiles, folder), join(profiles, folder), { recursive: true });

  // What a user brings: one trained network as ONNX.
  const only = oneArchitecture(vit, vit.seeds?.().at(-1) as Architecture);
  const given = new SharedWeights(await train(only, profiles, 6));
  const bytes = writeOnnx(only.network(only.seeds?.()[0] as Architecture, given));
  await writeFile(join(profiles, 'networks', 'mine.onnx'), bytes);
  const file = { kind: 'instatune', id: 'mine', network: 'mine.onnx' };
  await writeFile(join(profiles, 'spaces', 'mine.json'), JSON.stringify(file));

  const space = openSpace(file, profiles);
  const rng = Xoshiro128.fromSeed(5);
  const sampled = new Map<string, Architecture>();
  while (sampled.size < 15) {
    const a = space.sample(rng);
    sampled.set(architectureId(space.id, a), a);
  }
  const accuracies = async (weights: SharedWeights | undefined) => {
    const evaluator = new SupernetEvaluator({
      space,
      weights,
      calibration: seen,
      validation: unseen,
      source: 'unseen images',
      batch: 50,
    });
    const of = async (a: Architecture): Promise<number> =>
      (await evaluator.evaluate(a, { signal })).values.accuracy as number;
    const all: number[] = [];
    for (const a of sampled.values()) all.push(await of(a));
    const largest = await of(space.seeds?.().at(-1) as Architecture);
    await evaluator.close();
    return { median: all.sort((a, b) => a - b)[all.length >> 1] as number, largest };
  };
  const before = await accuracies(undefined);
  const after = await accuracies(new SharedWeights(await train(space, join(profiles, 'supernets'), 4)));
  t.ok(before.largest > 0.7, `the given network is right on ${before.largest}`);
  t.ok(before.median < before.largest - 0.03, `its slices lose: median ${before.median}`);
  t.ok(after.median > before.median + 0.03, `median ${before.median} before, ${after.median} after`);
  t.ok(after.largest > before.largest - 0.05, `largest ${before.largest} before, ${after.largest} after`);

  const some = images(60, 9);
  await writeFile(join(profiles, 'x.f32'), new Uint8Array(some.pixels.buffer));
  await writeFile(join(profiles, 'y.json'), JSON.stringify([...some.labels]));
  const dataset = { kind: 'arrays', x: join(profiles, 'x.f32'), y: join(profiles, 'y.json') };

  // A study by the space's name takes the fine-tuned weights, and notices another network.
  const spec = resolveSpace(
    parseStudySpec({
      name: 'mine',
      space: 'mine',
      devices: ['x'],
      budget: { trials: 1 },
      // The weights of this test carry no record of their images.
      evaluator: { kind: 'supernet', dataset, otherData: true },
    }),
    profiles,
  );
  t.match((spec.space as { sha256?: string }).sha256, /^[0-9a-f]{64}$/);
  const parts = await openStudyParts(spec, profiles);
  const network = await parts.evaluator.network?.(space.seeds?.()[0] as Architecture, { signal });
  t.ok((network?.nodes.length ?? 0) > 10);
  await parts.evaluator.close();
  await rm(join(profiles, 'supernets', 'mine'), { recursive: true });
  const untuned = await openSupernet(space, profiles, { dataset: labelledSpecSchema.parse(dataset) });
  await t.rejects(openSupernet(space, profiles, { dataset: 'fashion-mnist' }), {
    code: 'SPEC_INVALID',
    message: /takes 1x8x8 and has 3 classes/,
  });
  t.same(untuned.metrics, ['accuracy'], 'without fine-tuned weights the given ones are scored');
  await untuned.close();
  await writeFile(
    join(profiles, 'networks', 'mine.onnx'),
    writeOnnx(vit.network(vit.seeds?.()[0] as Architecture)),
  );
  await t.rejects(openStudyParts(spec, profiles), { code: 'SPACE_INVALID' }, 'another network');
  await rm(join(profiles, 'networks', 'mine.onnx'));
  t.throws(() => openSpace(file, profiles), { code: 'SPACE_INVALID' }, 'no network');
  t.throws(() => loadSpace(file), { code: 'SPACE_INVALID' }, 'where no networks are');
  t.throws(() => openSpace({ ...file, network: '../mine.onnx' }, profiles), { code: 'SPACE_INVALID' });
});
