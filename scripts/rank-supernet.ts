/**
 * How well accuracies from a super-network's shared weights rank sub-networks, against training each of them alone:
 *
 *   node dist/scripts/rank-supernet.js RECIPE.yaml --weights FILE [--count 12] [--epochs 2] [--jobs 2] --work DIR
 *
 * Sub-networks span the space's MACs from the smallest to the largest. Each is trained alone with the recipe's settings
 * for `--epochs` epochs, then both are scored on the same test images, batch statistics recalibrated alike. Resumes
 * from --work. The last line on stdout is one JSON object; the table stands on stderr.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { parse } from 'yaml';
import type { Architecture } from '../daemon/core/architecture.js';
import { systemClock } from '../daemon/core/clock.js';
import { Xoshiro128 } from '../daemon/core/rng.js';
import { readIdxImages } from '../daemon/data/labelled/idx-images.js';
import { isLabelled } from '../daemon/data/labelled/spec.js';
import { SupernetEvaluator } from '../daemon/evaluate/supernet.js';
import { kendall, spearman } from '../daemon/predict/statistics.js';
import type { Space } from '../daemon/search/spaces/contract.js';
import { oneArchitecture } from '../daemon/train/one-architecture.js';
import { openTraining } from '../daemon/train/open-training.js';
import { parseTrainSpec, type TrainSpec } from '../daemon/train/spec.js';
import { trainSupernet } from '../daemon/train/train-supernet.js';
import { readSafetensors } from '../daemon/train/weights/safetensors.js';
import { SharedWeights } from '../daemon/train/weights/shared-weights.js';

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    weights: { type: 'string' },
    count: { type: 'string', default: '12' },
    epochs: { type: 'string', default: '2' },
    jobs: { type: 'string', default: '2' },
    work: { type: 'string' },
  },
});
const [recipePath] = positionals;
if (!recipePath || !flags.weights || !flags.work) {
  console.error(
    'usage: rank-supernet RECIPE.yaml --weights FILE --work DIR [--count N] [--epochs N] [--jobs N]',
  );
  process.exit(2);
}
const work = resolve(flags.work);
const [count, epochs, jobs] = [Number(flags.count), Number(flags.epochs), Number(flags.jobs)];
const { signal } = new AbortController();
const recipe = parseTrainSpec(parse(await readFile(recipePath, 'utf8')));
const profilesDir = resolve('profiles');
const parts = await openTraining(recipe, profilesDir);
const calibration = await readIdxImages(join(profilesDir, 'datasets', 'fashion-mnist'), 'calibration');
if (isLabelled(recipe.dataset)) throw new Error('the recipe trains on other data than Fashion-MNIST');
const test = await readIdxImages(recipe.dataset.folder, 't10k');
const shared = readSafetensors(await readFile(flags.weights)).tensors;

/** Evenly spaced in log MACs between the smallest and the largest, each the nearest of 2,000 random ones. */
function spanning(space: Space): readonly Architecture[] {
  const rng = Xoshiro128.fromSeed(recipe.seed);
  const logMacs = (a: Architecture): number => Math.log(space.stats(a).macs);
  const seeds = space.seeds?.() ?? [];
  const [smallest, largest] = [seeds[0] as Architecture, seeds.at(-1) as Architecture];
  const pool = Array.from({ length: 2000 }, () => space.sample(rng));
  const [low, high] = [logMacs(smallest), logMacs(largest)];
  const between: Architecture[] = [];
  for (let i = 1; i < count - 1; i++) {
    const wanted = low + ((high - low) * i) / (count - 1);
    const distance = (a: Architecture): number => Math.abs(logMacs(a) - wanted);
    const free = pool.filter(
      (a) => !between.some((taken) => space.stats(taken).macs === space.stats(a).macs),
    );
    between.push(free.reduce((best, a) => (distance(a) < distance(best) ? a : best)));
  }
  return [smallest, ...between, largest];
}

async function score(space: Space, weights: SharedWeights, a: Architecture): Promise<Uint8Array> {
  const evaluator = new SupernetEvaluator({ space, weights, calibration, validation: test, source: 'test' });
  try {
    return await evaluator.rightAnswers(a, { signal });
  } finally {
    await evaluator.close();
  }
}

async function trainAlone(architecture: Architecture): Promise<SharedWeights> {
  const folder = join(
    work,
    JSON.stringify(architecture)
      .replaceAll(/[^\w]+/g, '-')
      .slice(0, 80),
  );
  await mkdir(folder, { recursive: true });
  // Trainings run side by side instead of each in several processes.
  const alone = { architecture: architecture as number[], epochs, warmEpochs: 0, processes: 1 };
  const spec: TrainSpec = { ...recipe, ...alone };
  const weights = await trainSupernet({
    ...parts,
    space: oneArchitecture(space, architecture),
    spec,
    clock: systemClock,
    signal,
    checkpointPath: join(folder, 'checkpoint.safetensors'),
    exportPath: join(folder, 'weights.safetensors'),
    threads: Math.max(1, Math.floor(2 / jobs)),
    onProgress: () => {},
  });
  return new SharedWeights(weights);
}

const mean = (values: Uint8Array): number => values.reduce((sum, v) => sum + v, 0) / values.length;
/** Standard error of the difference of two accuracies on the same images. */
function pairedError(a: Uint8Array, b: Uint8Array): number {
  const differences = Array.from(a, (value, i) => value - (b[i] as number));
  const centre = differences.reduce((sum, d) => sum + d, 0) / a.length;
  const variance = differences.reduce((sum, d) => sum + (d - centre) ** 2, 0) / (a.length - 1);
  return Math.sqrt(variance / a.length);
}

const { space } = parts;
const architectures = spanning(space);
const rows: { architecture: Architecture; macs: number; shared: Uint8Array; alone: Uint8Array }[] = [];
const waiting = architectures.map((architecture, i) => ({ architecture, i }));
await Promise.all(
  Array.from({ length: jobs }, async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const { architecture, i } = next;
      const { macs } = space.stats(architecture);
      const aloneWeights = await trainAlone(architecture);
      const alone = await score(oneArchitecture(space, architecture), aloneWeights, architecture);
      const row = {
        architecture,
        macs,
        shared: await score(space, new SharedWeights(shared), architecture),
        alone,
      };
      rows[i] = row;
      console.error(`${i} ${macs} MACs: shared ${mean(row.shared)}, alone ${mean(alone)}`);
    }
  }),
);
const [sharedAccuracies, aloneAccuracies] = [rows.map((r) => mean(r.shared)), rows.map((r) => mean(r.alone))];
const middle = rows[Math.floor(rows.length / 2)] as (typeof rows)[number];
const report = {
  space: space.id,
  images: test.count,
  aloneEpochs: epochs,
  spearman: spearman(sharedAccuracies, aloneAccuracies),
  kendall: kendall(sharedAccuracies, aloneAccuracies),
  rows: rows.map(({ architecture, macs, shared: s, alone: a }) => ({
    architecture,
    macs,
    shared: mean(s),
    alone: mean(a),
    // Of the difference to the middle row, image by image.
    sharedPairedError: pairedError(s, middle.shared),
    alonePairedError: pairedError(a, middle.alone),
  })),
};
await writeFile(join(work, 'ranking.json'), `${JSON.stringify(report, null, 1)}\n`);
console.log(JSON.stringify(report));
