/** EAS as a training study: children inherit what their parents learnt. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { architectureId } from '../../daemon/core/architecture.js';
import { gaussian, Xoshiro128 } from '../../daemon/core/rng.js';
import type { LabelledImages } from '../../daemon/data/labelled/labelled-images.js';
import { InheritingEvaluator } from '../../daemon/evaluate/inheriting.js';
import { createEvaluator } from '../../daemon/evaluate/registry.js';
import { mbconvFileSchema } from '../../daemon/search/spaces/mbconv/file.js';
import { mbconvSpace } from '../../daemon/search/spaces/mbconv/mbconv.js';
import { loadSpace } from '../../daemon/search/spaces/registry.js';
import { readTensorFile } from '../../daemon/train/weights/checkpoint.js';
import { openBench, testSpec } from '../study/bench.js';

t.setTimeout(900_000);
const { signal } = new AbortController();
const profilesDir = fileURLToPath(new URL('../../../profiles', import.meta.url));

const raw = {
  kind: 'mbconv',
  id: 'growing',
  input: [1, 8, 8],
  classes: 3,
  stem: { width: 4, kernel: 3, stride: 1 },
  firstWidth: 4,
  stages: [{ width: 8, layers: 3, stride: 2 }],
  kernels: [3, 5],
  expansions: [1, 2, 4],
  skip: true,
  headWidth: 16,
};
const file = mbconvFileSchema.parse(raw);
const space = mbconvSpace(file);
const choice = (layer: number, name: string): number => space.dims?.[layer]?.choices.indexOf(name) as number;

/** Three classes, told by which third of the image is brighter, in noise. */
function images(count: number, seed: number): LabelledImages {
  const rng = Xoshiro128.fromSeed(seed);
  const pixels = Float32Array.from({ length: count * 64 }, () => gaussian(rng));
  const labels = Uint8Array.from({ length: count }, (_, i) => i % 3);
  labels.forEach((label, i) => {
    for (let p = 0; p < 20; p++) pixels[i * 64 + label * 20 + p]! += 1.2;
  });
  return { count, channels: 1, height: 8, width: 8, pixels, labels };
}

async function folder(t: Test): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'hilda-inherit-'));
  t.teardown(() => rm(path, { recursive: true, force: true }));
  return path;
}

const openIn = (t: Test, work: string, more: object = {}): InheritingEvaluator => {
  const evaluator = new InheritingEvaluator({
    file,
    images: images(240, 1),
    calibration: images(120, 2),
    validation: images(300, 3),
    source: 'made up',
    identity: 'made up',
    work,
    epochs: 1,
    firstEpochs: 8,
    batch: 24,
    rate: 0.01,
    seed: 1,
    threads: 1,
    ...more,
  });
  t.teardown(() => evaluator.close());
  return evaluator;
};

t.test('a child that grew out of a trained network starts with what that one knows', async (t) => {
  const work = await folder(t);
  const evaluator = openIn(t, work);
  const scored = async (e: InheritingEvaluator, a: readonly number[]): Promise<number> =>
    (await e.evaluate(a, { signal })).values.accuracy as number;
  const metadata = async (a: readonly number[]) =>
    (await readTensorFile(join(work, `${architectureId(space.id, a)}.safetensors`)))?.metadata;

  const root = [choice(0, 'k3e2'), choice(1, 'skip'), choice(2, 'skip')];
  const child = [choice(0, 'k5e4'), choice(1, 'k3e1'), choice(2, 'skip')];
  const grandchild = [choice(0, 'k5e4'), choice(1, 'k5e1'), choice(2, 'k3e2')];
  const known = await scored(evaluator, root);
  t.ok(known > 0.7, `the root learns: ${known}`);
  t.equal((await metadata(root))?.parent, '');
  const inherited = await scored(evaluator, child);
  t.same(JSON.parse((await metadata(child))?.parent ?? ''), root);
  const alone = await scored(openIn(t, await folder(t), { firstEpochs: 1 }), child);
  t.ok(inherited > known - 0.1, `one epoch more keeps it: ${known} then ${inherited}`);
  t.ok(inherited > alone + 0.1, `${inherited} inherited, ${alone} after the same epoch from nothing`);
  await scored(evaluator, grandchild);
  t.same(JSON.parse((await metadata(grandchild))?.parent ?? ''), child, 'the nearest is the parent');

  const smaller = [choice(0, 'k3e1'), choice(1, 'skip'), choice(2, 'skip')];
  await scored(evaluator, smaller);
  t.equal((await metadata(smaller))?.parent, '', 'nothing shrinks');

  // A resumed study asks again: the answer is the file's.
  const files = await readdir(work);
  t.equal(files.length, 4, `one file an architecture: ${files.join(' ')}`);
  t.equal(await scored(openIn(t, work, { firstEpochs: 1000 }), root), known);
  const elsewhere = openIn(t, work, { identity: 'other images' });
  for (const one of [root, [choice(0, 'k5e4'), choice(1, 'k3e1'), choice(2, 'k3e2')]])
    await t.rejects(elsewhere.evaluate(one, { signal }), {
      code: 'DATASET_MISMATCH',
      hint: /another folder in the line `work:`/,
    });
  t.ok((await evaluator.network(child, { signal })).initializers.has('stage1.layer2.plain.project.weight'));
});

t.test('a study by the sampler eas grows its networks', async (t) => {
  const work = await folder(t);
  const bench = await openBench(await folder(t));
  t.teardown(() => bench.close());
  const small = {
    ...raw,
    id: 'growing-28',
    input: [1, 28, 28],
    classes: 10,
    stem: { width: 4, kernel: 3, stride: 2 },
  };
  const evaluator = {
    kind: 'inherit',
    work,
    // Enough to see weights being handed on, too little to learn.
    training: { folder: join(profilesDir, 'datasets/fashion-mnist'), split: 'calibration' },
    ...{ dataset: 'fashion-mnist', otherData: true },
    images: 128,
    firstEpochs: 1,
    batch: 64,
    threads: 1,
  };
  const changes = { space: small, evaluator, sampler: { name: 'eas' }, budget: { trials: 6 }, batch: 2 };
  const { id } = await bench.studies.create(testSpec(changes));
  await bench.studies.settled(id);
  const trials = await bench.studies.trials(id);
  t.equal(trials.filter(({ state }) => state === 'complete').length, 6, trials.map((x) => x.reason).join());
  const parents = await Promise.all(
    (await readdir(work)).map(async (name) => (await readTensorFile(join(work, name)))?.metadata.parent),
  );
  t.equal(parents.length, 6);
  t.equal(parents.filter((parent) => parent === '').length <= 2, true, parents.join(' '));
  t.ok(parents.filter(Boolean).length >= 4, 'the others inherit');

  const vit = { kind: 'vit' };
  await t.rejects(createEvaluator(evaluator, { space: loadSpace(small), file: vit, profilesDir }), {
    code: 'SPEC_INVALID',
  });
  await t.rejects(
    createEvaluator(evaluator, { space, file: raw, profilesDir }),
    { code: 'SPEC_INVALID' },
    '8x8 images of 28x28',
  );
});
