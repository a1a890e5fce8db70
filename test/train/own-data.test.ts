import { cp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import sharp from 'sharp';
import t from 'tap';
import { parse } from 'yaml';
import { systemClock } from '../../daemon/core/clock.js';
import type { DataRecord } from '../../daemon/data/labelled/data-record.js';
import { readShipped } from '../../daemon/data/labelled/shipped-images.js';
import { type OpenOptions, openArrays } from '../../daemon/data/open-arrays.js';
import { FakeDriver } from '../../daemon/devices/fake/driver.js';
import { createEvaluator } from '../../daemon/evaluate/registry.js';
import type { ValueInfo } from '../../daemon/network/graph.js';
import { readOnnx } from '../../daemon/network/read-onnx.js';
import { Daemon } from '../../daemon/process/daemon.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';
import { valueRanges } from '../../daemon/runtime/value-ranges.js';
import { loadSpace } from '../../daemon/search/spaces/registry.js';
import { openTraining } from '../../daemon/train/open-training.js';
import { parseTrainSpec } from '../../daemon/train/spec.js';
import { readSafetensors, writeSafetensors } from '../../daemon/train/weights/safetensors.js';
import { classesOf, compile } from '../../firmware-bridge/compiler/index.js';
import { temporaryFolder } from '../api/bench.js';
import { type Ended, runHere } from '../cli/run-command.js';
import { drawShapes, recordSounds } from './drawn-data.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const profilesDir = join(root, 'profiles');
interface Step {
  readonly kind: 'file' | 'command';
  readonly name: string;
  readonly content: string;
}

/** The guide's YAML blocks, named by the last file named before them, and its commands. */
function stepsOf(guide: string): Step[] {
  const steps: Step[] = [];
  const blocks = [...guide.matchAll(/```(yaml|sh)\n([\s\S]*?)```/g)];
  for (const { 1: kind, 2: content = '', index } of blocks) {
    if (kind === 'yaml') {
      const name = [...guide.slice(0, index).matchAll(/`([\w-]+\.yaml)`/g)].at(-1)?.[1] ?? '';
      steps.push({ kind: 'file', name, content });
    } else
      for (const line of content.trim().split('\n'))
        steps.push({ kind: 'command', name: line, content: line });
  }
  return steps;
}

// Trains two super-networks and runs two searches: about 15 s of a free processor.
t.setTimeout(600_000);

interface Point {
  readonly trialNumber: number;
  readonly values: { readonly accuracy: number };
}

/** The answers of an ONNX file to inputs, one at a time, as the class with the largest output. */
async function answers(
  path: string,
  dims: readonly number[],
  inputs: readonly Float32Array[],
): Promise<number[]> {
  const runtime = new SessionProcess();
  try {
    const { handle, inputs: ports, outputs } = await runtime.load(await readFile(path));
    if (String(ports[0]?.dims) !== String(dims)) throw new Error(`${path} takes ${ports[0]?.dims}`);
    const classes: number[] = [];
    for (const data of inputs) {
      const answer = await runtime.run(handle, { [ports[0]!.name]: { type: 'float32', dims, data } });
      const logits = answer[outputs[0]!.name]!.data as Float32Array;
      classes.push(logits.indexOf(Math.max(...logits)));
    }
    return classes;
  } finally {
    await runtime.stop();
  }
}

/** Share of a folder's files that a network names rightly, by reading them anew and without hilda's normalisation. */
async function shareRight(
  network: string,
  folder: string,
  classNames: readonly string[],
  dims: readonly number[],
  options: OpenOptions,
): Promise<number> {
  let [right, count] = [0, 0];
  for (const [label, name] of classNames.entries()) {
    const source = await openArrays(join(folder, name), { ...options, dims });
    const inputs = [];
    for (let i = 0; i < source.count; i++) inputs.push((await source.examples(i, i + 1)) as Float32Array);
    right += (await answers(network, dims, inputs)).filter((answer) => answer === label).length;
    count += source.count;
  }
  return right / count;
}

/** Share of a folder's pictures that a file names rightly, by sharp and onnxruntime alone. */
async function directShare(
  network: string,
  folder: string,
  { classNames, normalisation: { mean, deviation } }: DataRecord,
): Promise<number> {
  const session = await InferenceSession.create(network);
  let [right, count] = [0, 0];
  for (const [label, name] of classNames!.entries())
    for (const picture of await readdir(join(folder, name))) {
      const { data, info } = await sharp(join(folder, name, picture))
        .raw()
        .toBuffer({ resolveWithObject: true });
      const size = info.width * info.height;
      const pixels = Float32Array.from(
        { length: 3 * size },
        (_, i) =>
          (data[(i % size) * 3 + Math.floor(i / size)]! / 255 - mean[Math.floor(i / size)]!) /
          deviation[Math.floor(i / size)]!,
      );
      const feeds = {
        [session.inputNames[0]!]: new Tensor('float32', pixels, [1, 3, info.height, info.width]),
      };
      const logits = [...((await session.run(feeds))[session.outputNames[0]!]!.data as Float32Array)];
      right += logits.indexOf(Math.max(...logits)) === label ? 1 : 0;
      count++;
    }
  await session.release();
  return right / count;
}

/** Share of recordings that a network of samples names rightly, in float and in the bytes of a board. */
async function onBoard(
  path: string,
  folder: string,
  classNames: readonly string[],
): Promise<[number, number]> {
  const graph = readOnnx(await readFile(path));
  const { name, dims } = graph.inputs[0] as ValueInfo;
  const examples: { readonly label: number; readonly data: Float32Array }[] = [];
  for (const [label, one] of classNames.entries()) {
    const source = await openArrays(join(folder, one), { dims: dims as number[] });
    for (let i = 0; i < source.count; i++)
      examples.push({ label, data: (await source.examples(i, i + 1)) as Float32Array });
  }
  const runtime = new SessionProcess();
  try {
    const feeds = examples.map(({ data }) => ({
      [name]: { type: 'float32' as const, dims: dims as number[], data },
    }));
    const compiled = await compile(graph, {
      board: {
        weightLayout: 'rows',
        arenaBytes: 2 ** 18,
        flashBytes: 2 ** 20,
        weightsAt: 'flash',
        poolBytes: 0,
        fetchesInput: false,
      },
      weights: 'real',
      calibration: (network, values) =>
        valueRanges(network, values, feeds, runtime, { signal: new AbortController().signal }),
    });
    const right = examples.filter(({ data, label }) => classesOf(compiled, data, 1)[0] === label).length;
    const float = await answers(
      path,
      dims as number[],
      examples.map(({ data }) => data),
    );
    return [
      float.filter((answer, i) => answer === examples[i]!.label).length / float.length,
      right / float.length,
    ];
  } finally {
    await runtime.stop();
  }
}

t.test('the guide goes from folders to exported networks', async (t) => {
  const work = await temporaryFolder(t);
  await drawShapes(join(work, 'shapes'), 40);
  await recordSounds(join(work, 'sounds'), 24);
  // A device on paper stands in for this machine, whose noise would void measurements.
  const drivers = [new FakeDriver({ ids: ['cpu-0'] })];
  const daemon = new Daemon({ dataDir: join(work, 'state'), port: 0, clock: systemClock, drivers });
  const url = await daemon.start(new AbortController().signal);
  t.teardown(() => daemon.stop());
  const here = process.cwd();
  process.chdir(work);
  t.teardown(() => process.chdir(here));
  const run = (...args: string[]): Promise<Ended> => runHere(['--host', url, ...args]);
  const json = async <T>(...args: string[]): Promise<T> => {
    const { code, out, err } = await run(...args, '--json');
    t.equal(code, 0, `${args.join(' ')} ${err.slice(-300)}`);
    return JSON.parse(out) as T;
  };
  await json('devices', 'adopt', 'cpu-0');

  const words = new Map<string, string>();
  const guide = await readFile(join(root, 'docs/guides/search-on-my-own-data.md'), 'utf8');
  for (const { kind, name, content } of stepsOf(guide)) {
    if (kind === 'file') {
      await writeFile(join(work, name), content);
      continue;
    }
    const [, ...args] = content.replace(/STUDY|TRIAL/g, (word) => words.get(word) ?? word).split(' ');
    if (args[0] === 'train') {
      const { progress } = await json<{ progress: { validation: { largest: number } } }>(...args);
      t.ok(progress.validation.largest > 0.6, `${name}: ${progress.validation.largest}`);
    } else if (args[1] === 'start') {
      const { study } = await json<{ study: { id: string } }>(...args);
      const { front } = await json<{ front: Point[] }>('search', 'front', study.id);
      const [best] = front.sort((a, b) => b.values.accuracy - a.values.accuracy);
      t.ok(
        best && best.values.accuracy > 0.6,
        `the best of ${front.length} is right on ${best?.values.accuracy}`,
      );
      words.set('STUDY', study.id).set('TRIAL', String(best?.trialNumber));
    } else t.equal((await run(...args)).code, 0, name);
  }

  const { data } = JSON.parse(await readFile(join(work, 'shapes.json'), 'utf8')) as { data: DataRecord };
  t.match(data, { kind: 'images', classNames: ['circle', 'cross', 'square'], trained: 96, validation: 24 });
  const images = { ...data.normalisation };
  const right = await shareRight('shapes.onnx', 'shapes', data.classNames!, [1, 3, 24, 24], { images });
  t.ok(right > 0.6, `the exported network, normalised as its manifest says, is right on ${right}`);
  const heard = await shareRight('sounds.onnx', 'sounds', ['high', 'low', 'noise'], [1, 1, 1, 4000], {
    sounds: { samples: 4000 },
  });
  t.ok(heard > 0.8, `the exported network with its front end is right on ${heard} of the recordings`);
  const [float, int8] = await onBoard('sounds.onnx', 'sounds', ['high', 'low', 'noise']);
  t.ok(int8 > float - 0.1, `in 8 bits, front end included: ${int8}, float ${float}`);
  const { code, err } = await run(
    ...['search', 'export', 'study-1', '--trial', '0', '--out', 'x.onnx', '--front-end'],
  );
  t.equal(code, 2, err);

  // What a front says, against the exported files, pictures read by sharp and onnxruntime called without hilda.
  const isHeldOut = (file: string): boolean => /^0(02|04|08|10|14|16|20|22)\.png$/.test(file);
  for (const name of data.classNames!)
    for (const picture of await readdir(join('shapes', name)))
      await cp(
        join('shapes', name, picture),
        join('parted', isHeldOut(picture) ? 'val' : 'train', name, picture),
      );
  const parted = {
    ...(parse(await readFile('search.yaml', 'utf8')) as object),
    name: 'parted',
    evaluator: {
      ...{ kind: 'supernet', weights: join(work, 'trained/weights.safetensors'), otherData: true },
      dataset: { kind: 'images', folder: join(work, 'parted'), resize: true },
    },
  };
  await writeFile('parted.yaml', JSON.stringify(parted));
  const { study } = await json<{ study: { id: string } }>('search', 'start', 'parted.yaml', '--wait');
  const { front } = await json<{ front: Point[] }>('search', 'front', study.id);
  t.ok(front.length > 0);
  for (const { trialNumber, values } of front) {
    const out = `trial${trialNumber}.onnx`;
    await json('search', 'export', study.id, '--trial', String(trialNumber), '--out', out);
    const direct = await directShare(out, join('parted', 'val'), data);
    t.equal(direct, values.accuracy, `trial ${trialNumber}: ${direct} by a direct evaluation`);
  }

  // The same data in a search by gradient and in one that trains every network.
  const file = parse(await readFile(join(work, 'space.yaml'), 'utf8')) as { kind: string };
  const space = loadSpace(file);
  const evaluator = {
    kind: 'supernet',
    weights: join(work, 'trained/weights.safetensors'),
    dataset: { kind: 'images', folder: join(work, 'shapes'), resize: true },
  };
  const seeds = space.seeds?.() as readonly (readonly number[])[];
  const keys = (space.dims ?? []).flatMap((dim, l) =>
    dim.choices.flatMap((_, choice) => {
      const blocks = space.blocks?.((seeds.at(-1) as number[]).map((i, k) => (k === l ? choice : i)));
      return (blocks ?? []).map(({ key }) => key);
    }),
  );
  await writeFile(
    'table.yaml',
    [...new Set(keys)].map((key) => `${key}: {count: 1, mean: 2, var: 0}`).join('\n'),
  );
  const gradient = {
    space: 'space.yaml',
    dataset: { ...evaluator.dataset, folder: 'shapes' },
    weights: 'trained/weights.safetensors',
    targets: [{ name: 'flat', table: 'table.yaml', format: 'proxylessnas' }],
    ...{ steps: 2, batch: 8, candidates: 1, mode: 'two' },
  };
  await writeFile('gradient.yaml', JSON.stringify(gradient));
  const { winners } = await json<{ winners: { accuracy: number }[] }>('search', 'gradient', 'gradient.yaml');
  t.ok(
    winners.length === 1 && winners[0]!.accuracy > 0.4,
    `a winner by gradient: ${JSON.stringify(winners)}`,
  );
  const inherit = {
    kind: 'inherit',
    work: join(work, 'grown'),
    training: evaluator.dataset,
    firstEpochs: 1,
    batch: 32,
  };
  const training = await createEvaluator(inherit, { space, file, profilesDir });
  t.teardown(() => training.close());
  const { values, source } = await training.evaluate(seeds[0]!, { signal: new AbortController().signal });
  t.ok(values.accuracy! > 0.1);
  t.match(source, /shapes validation, 24 images/);

  // Weights and data that do not belong together.
  const create = (spec: object) => createEvaluator({ ...evaluator, ...spec }, { space, profilesDir });
  const other = { ...evaluator.dataset, seed: 2 };
  await t.rejects(
    create({ dataset: other }),
    { code: 'DATASET_MISMATCH', message: /trained on shapes/ },
    'another split',
  );
  const allowed = await create({ dataset: other, otherData: true });
  t.same(allowed.data?.normalisation, data.normalisation, "the weights' own normalisation");
  await allowed.close();
  // What no line allows: other classes, other units, another size.
  await cp('shapes', 'other', { recursive: true });
  await rename('other/cross', 'other/star');
  const forbidden = { otherData: true, dataset: { ...other, folder: join(work, 'other') } };
  await t.rejects(create(forbidden), {
    code: 'DATASET_MISMATCH',
    message: /classes circle, cross, square, not on/,
  });
  const pixels = Buffer.alloc(4 * 6 * 3 * 24 * 24);
  for (let i = 0; i < pixels.length / 4; i++) pixels.writeFloatLE(i % 255, 4 * i);
  await writeFile('x.f32', pixels);
  await writeFile('y.json', '[0, 1, 2, 0, 1, 2]');
  const arrays = { kind: 'arrays', x: join(work, 'x.f32'), y: join(work, 'y.json') };
  await t.rejects(create({ otherData: true, dataset: arrays }), {
    code: 'DATASET_MISMATCH',
    message: /values of arrays/,
  });
  await t.rejects(create({ otherData: true, dataset: 'fashion-mnist' }), {
    code: 'SPEC_INVALID',
    message: /takes 3x24x24/,
  });
  await t.rejects(create({ dataset: undefined }), {
    code: 'SPEC_INVALID',
    message: /trained on shapes/,
    hint: /line `dataset:`/,
  });
  await t.rejects(create({ dataset: { ...other, folder: 'shapes' } }), {
    code: 'SPEC_INVALID',
    message: /no absolute path/,
  });
  const weights = readSafetensors(await readFile(evaluator.weights));
  const { data: _, ...metadata } = weights.metadata;
  await writeFile(evaluator.weights, writeSafetensors({ ...weights, metadata }));
  await t.rejects(create({}), {
    code: 'DATASET_MISMATCH',
    message: /does not say what it was trained on/,
    hint: /add the line `otherData: true`/,
  });
  await writeFile(evaluator.weights, writeSafetensors({ ...weights, metadata: { data: '{"identity": 1}' } }));
  await t.rejects(create({}), { code: 'SUPERNET_INVALID', message: /record of its training data/ });
});

t.test('networks trained in a study are not scored on shipped images unsaid', async (t) => {
  const file = JSON.parse(await readFile(join(profilesDir, 'spaces/mbconv-fmnist.json'), 'utf8')) as {
    kind: string;
  };
  const space = loadSpace(file);
  const training = { folder: join(profilesDir, 'datasets/fashion-mnist'), split: 'validation' };
  const open = (more: object) =>
    createEvaluator({ kind: 'inherit', work: '/nowhere', training, ...more }, { space, file, profilesDir });
  await t.rejects(open({}), { code: 'SPEC_INVALID', hint: /`otherData: true`/ });
  await t.rejects(open({ dataset: 'fashion-mnist' }), {
    code: 'DATASET_MISMATCH',
    hint: /Add `otherData: true`/,
  });
  await (await open({ dataset: 'fashion-mnist', otherData: true })).close();
});

t.test('shipped weights stay with the shipped images', async (t) => {
  const file = JSON.parse(await readFile(join(profilesDir, 'spaces/mbconv-fmnist.json'), 'utf8')) as {
    kind: string;
  };
  const space = loadSpace(file);
  const folder = join(profilesDir, 'datasets/fashion-mnist');
  const dataset = {
    kind: 'arrays',
    x: join(folder, 'validation-images-idx3-ubyte.gz'),
    y: join(folder, 'validation-labels-idx1-ubyte.gz'),
  };
  const evaluator = await createEvaluator({ kind: 'supernet' }, { space, profilesDir });
  await evaluator.close();
  await t.rejects(createEvaluator({ kind: 'supernet', dataset }, { space, profilesDir }), {
    code: 'DATASET_MISMATCH',
  });
  const both = await Promise.all([1, 2].map(() => readShipped(profilesDir, 'fashion-mnist')));
  t.equal(both[0]?.validation.pixels, both[1]?.validation.pixels, 'studies share the images');
  // Other labels under the name that the weights know.
  const changed = await temporaryFolder(t);
  for (const part of ['datasets', 'supernets/mbconv-fmnist'])
    await cp(join(profilesDir, part), join(changed, part), { recursive: true });
  const [labels, others] = ['validation', 'calibration'].map((part) =>
    join(changed, 'datasets/fashion-mnist', `${part}-labels-idx1-ubyte.gz`),
  ) as [string, string];
  const bytes = gunzipSync(await readFile(labels));
  bytes[8] = (bytes[8]! + 1) % 10;
  await writeFile(labels, gzipSync(bytes));
  const open = () => createEvaluator({ kind: 'supernet' }, { space, profilesDir: changed });
  await t.rejects(open(), { code: 'DATA_INVALID', message: /validation-labels.*SHA256SUMS/ });
  await cp(join(profilesDir, 'datasets'), join(changed, 'datasets'), { recursive: true });
  await (await open()).close();
  await rm(others);
  await t.rejects(open(), { code: 'DATASET_MISSING' });
  const spec = parseTrainSpec({
    space: file,
    dataset,
    epochs: 1,
    optimizer: { kind: 'adamw' },
    rate: 0.01,
  });
  const parts = await openTraining(spec, profilesDir);
  t.same([parts.images.count, parts.validation.count, parts.data.kind], [1600, 400, 'arrays']);
  t.same(
    parts.data.normalisation.mean.map((x) => Math.round(x)),
    [73],
    'in the units of the arrays',
  );
  const small = { ...spec, batch: 5000 };
  await t.rejects(openTraining(small, profilesDir), { code: 'SPEC_INVALID', message: /fewer than a batch/ });
  t.equal(spec.augmentation.flip, true);
  const sounds = { kind: 'sounds', folder: 'x', samples: 100 };
  t.equal(parseTrainSpec({ ...spec, augmentation: {}, dataset: sounds }).augmentation.flip, false);
  for (const dataset of [
    { kind: 'video', folder: 'x' },
    { kind: 'images' },
    { kind: 'images', folder: 'x', split: 'y' },
  ])
    t.throws(() => parseTrainSpec({ ...spec, dataset }), { code: 'SPEC_INVALID', message: /dataset/ });
});
