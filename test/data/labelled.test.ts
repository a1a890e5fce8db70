import { execFileSync } from 'node:child_process';
import { cp, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import sharp from 'sharp';
import t, { type Test } from 'tap';
import wavefile from 'wavefile';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import { normalise, renormalise } from '../../daemon/data/labelled/normalise.js';
import { openLabelled } from '../../daemon/data/labelled/open-labelled.js';
import { labelledSpecSchema } from '../../daemon/data/labelled/spec.js';
import { stratifiedSplit } from '../../daemon/data/labelled/split.js';
import { temporaryFolder } from '../api/bench.js';

type Input = [number, number, number];

const open = (spec: unknown, input: Input, classes: number) =>
  openLabelled(labelledSpecSchema.parse(spec), { input, classes });

/** A square of one colour. */
async function square(path: string, side: number, colour: readonly [number, number, number]): Promise<void> {
  const image = sharp({
    create: {
      width: side,
      height: side,
      channels: 3,
      background: { r: colour[0], g: colour[1], b: colour[2] },
    },
  });
  await (path.endsWith('.png') ? image.png() : image.jpeg({ quality: 100 })).toFile(path);
}

/** Two classes of 4 x 4 images: `dark` 10, 20, ..., `light` 200, 201, ... */
async function twoClasses(folder: string, counts: readonly [number, number] = [5, 10]): Promise<void> {
  await Promise.all(['dark', 'light'].map((name) => mkdir(join(folder, name), { recursive: true })));
  for (let i = 0; i < counts[0]; i++) await square(join(folder, `dark/${i}.png`), 4, [10 * (i + 1), 0, 0]);
  for (let i = 0; i < counts[1]; i++) await square(join(folder, `light/${i}.png`), 4, [200 + i, 0, 0]);
}

t.test('a folder a class, split by a seed in every class', async (t) => {
  const folder = await temporaryFolder(t);
  await twoClasses(folder);
  await writeFile(join(folder, 'README'), 'not a class');
  const { record, train, validation, calibration } = await open(
    { kind: 'images', folder, calibration: 4 },
    [3, 4, 4],
    2,
  );
  t.match(record, {
    kind: 'images',
    classes: 2,
    classNames: ['dark', 'light'],
    trained: 12,
    validation: 3,
    sound: null,
  });
  t.same([...validation.labels], [0, 1, 1], 'a fifth of each class');
  t.equal(calibration.count, 4);
  const { mean, deviation } = record.normalisation;
  const level = (image: number, part = train): number =>
    Math.round(255 * (part.pixels[image * 48]! * deviation[0]! + mean[0]!));
  const seen = [train, validation].flatMap((part) =>
    Array.from({ length: part.count }, (_, i) => level(i, part)),
  );
  t.same(
    seen.sort((a, b) => a - b),
    [10, 20, 30, 40, 50, ...Array.from({ length: 10 }, (_, i) => 200 + i)],
    'each once',
  );
  t.same(
    [...train.labels],
    Array.from(train.labels, (_, i) => (level(i) < 100 ? 0 : 1)),
  );
  const reds = Array.from({ length: 12 }, (_, i) => train.pixels[i * 48]!);
  t.ok(Math.abs(reds.reduce((a, b) => a + b)) < 1e-4, 'training examples have mean 0');
  t.ok(Math.abs(reds.reduce((a, b) => a + b * b, 0) / 12 - 1) < 1e-4, 'and deviation 1');
});

t.test('one identity means the same files, read and split alike', async (t) => {
  const folder = join(await temporaryFolder(t), 'shapes');
  await twoClasses(folder);
  const gray = (more: object = {}, at = folder) =>
    open({ kind: 'images', folder: at, ...more }, [1, 4, 4], 2);
  const { identity } = (await gray()).record;
  await cp(folder, `${folder}2`, { recursive: true });
  t.equal((await gray({}, `${folder}2`)).record.identity, identity, 'wherever the folder lies');
  t.equal((await gray({ calibration: 2 })).record.identity, identity, 'calibration does not count');
  for (const more of [{ seed: 2 }, { validation: 0.4 }, { resize: true }])
    t.not((await gray(more)).record.identity, identity, JSON.stringify(more));
  await rename(join(folder, 'dark/0.png'), join(folder, 'light/x.png'));
  t.not((await gray()).record.identity, identity, 'a label changed');
  await rename(join(folder, 'light/x.png'), join(folder, 'dark/0.png'));
  t.equal((await gray()).record.identity, identity);
  await square(join(folder, 'dark/0.png'), 4, [11, 0, 0]);
  t.not((await gray()).record.identity, identity, 'a pixel changed');
});

t.test('parts that the data set has of its own', async (t) => {
  const folder = await temporaryFolder(t);
  await twoClasses(join(folder, 'train'), [2, 3]);
  await twoClasses(join(folder, 'val'), [1, 1]);
  const spec = { kind: 'images', folder };
  const { record } = await open(spec, [1, 4, 4], 2);
  t.match(record, { trained: 5, validation: 2 });
  await mkdir(join(folder, 'val/other'));
  await t.rejects(open(spec, [1, 4, 4], 2), { code: 'DATA_INVALID', message: /different classes: "other"/ });
  await rm(join(folder, 'val/other'), { recursive: true });
  await mkdir(join(folder, 'valid'));
  await t.rejects(open(spec, [1, 4, 4], 2), { code: 'DATA_INVALID', message: /val and valid/ });
  await rm(join(folder, 'valid'), { recursive: true });
  await rm(join(folder, 'val'), { recursive: true });
  t.match((await open(spec, [1, 4, 4], 2)).record, { trained: 3, validation: 2 }, 'train/ alone is split');
  // A class may be called train.
  await mkdir(join(folder, 'car'));
  await t.rejects(open(spec, [1, 4, 4], 2), { code: 'DATA_INVALID', message: /car holds no PNG or JPEG/ });
});

t.test('limits are told by their number and what is there', async (t) => {
  const folder = await temporaryFolder(t);
  for (let i = 0; i < 257; i++) await mkdir(join(folder, `c${i}`));
  await t.rejects(open({ kind: 'images', folder }, [1, 4, 4], 257), {
    code: 'DATA_INVALID',
    message: /at most 256 classes; .* has 257/,
  });
});

t.test('folders that are no data set name what is wrong', async (t) => {
  const folder = await temporaryFolder(t);
  const at = (name: string): string => join(folder, name);
  const rejects = (message: RegExp, more: object = {}, input: Input = [1, 4, 4]): Promise<unknown> =>
    t.rejects(
      open({ kind: 'images', folder, ...more }, input, 2),
      { code: 'DATA_INVALID', message },
      String(message),
    );
  await rejects(/holds 0 class folders/);
  await mkdir(at('dark'));
  await mkdir(at('light'));
  await rejects(/dark holds no PNG or JPEG file/);
  await twoClasses(folder, [1, 2]);
  await rejects(/the class dark has one example/);
  await twoClasses(folder, [2, 2]);
  await square(at('x.png'), 4, [0, 0, 0]);
  await rejects(/x\.png lies beside the class folders/);
  await rm(at('x.png'));
  await t.rejects(open({ kind: 'images', folder }, [1, 4, 4], 3), {
    code: 'DATA_INVALID',
    message: /holds 2 classes \(dark, light\), the space has 3/,
  });
  await rejects(/gives 1 x 1 x 4 x 4, the space takes 1 x 8 x 8/, {}, [1, 8, 8]);
  t.equal((await open({ kind: 'images', folder, resize: true }, [1, 8, 8], 2)).train.height, 8);
  await rejects(/takes 2 channels/, {}, [2, 4, 4]);
  await square(at('dark/9.jpg'), 5, [1, 2, 3]);
  await rejects(/9\.jpg is 5 x 5, but .*0\.png is 4 x 4/);
  await rm(at('dark/9.jpg'));
  await writeFile(at('dark/9.jpg'), 'no picture');
  await rejects(/9\.jpg does not decode/, { resize: true });
  await writeFile(at('dark/9.jpg'), '');
  await rejects(/9\.jpg is empty/, { resize: true });
  await rm(at('dark/9.jpg'));
  execFileSync('mkfifo', [at('dark/9.jpg')]);
  await rejects(/9\.jpg is a FIFO/, { resize: true });
  await rm(at('dark/9.jpg'));
  await writeFile(at('dark/9.webp'), 'x');
  await rejects(/9\.webp is in a format that is not read/);
  await rm(at('dark/9.webp'));
  for (const name of ['dark', 'light'])
    for (const i of [0, 1]) await square(at(`${name}/${i}.png`), 4, [7, 7, 7]);
  await rejects(/all examples are alike/);
  await rejects(/normalise needs one mean/, { normalise: { mean: [0, 0], deviation: [1, 1] } });
  await t.rejects(open({ kind: 'images', folder: at('none') }, [1, 4, 4], 2), { code: 'NOT_FOUND' });
});

/** A .npy file of little-endian elements. */
function npy(descr: string, shape: readonly number[], data: ArrayBufferView): Buffer {
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape.join(', ')},), }`.padEnd(117);
  const head = Buffer.from([0x93, ...Buffer.from('NUMPY'), 1, 0, 118, 0]);
  return Buffer.concat([
    head,
    Buffer.from(`${text}\n`),
    new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  ]);
}

t.test('arrays: layouts, labels, IDX', async (t) => {
  const folder = await temporaryFolder(t);
  const at = (name: string): string => join(folder, name);
  const pixels = Uint8Array.from({ length: 4 * 2 * 2 * 3 }, (_, i) => i);
  await writeFile(at('x.npy'), npy('|u1', [4, 2, 2, 3], pixels));
  await writeFile(at('y.npy'), npy('<i8', [4, 1], BigInt64Array.of(0n, 1n, 0n, 1n)));
  const spec = {
    kind: 'arrays',
    x: at('x.npy'),
    y: at('y.npy'),
    normalise: { mean: [0, 0, 0], deviation: [1, 1, 1] },
    validation: 0.5,
  };
  const { train, record } = await open({ ...spec, layout: 'NHWC' }, [3, 2, 2], 2);
  t.match(record, { trained: 2, validation: 2, classNames: null });
  const first = train.pixels[0]!;
  t.same(
    [...train.pixels.slice(0, 12)],
    [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11].map((x) => x + first),
    'channels first',
  );
  await t.rejects(open(spec, [3, 2, 2], 2), { code: 'DATA_INVALID', message: /needed is 1 x 3 x 2 x 2/ });
  for (const [labels, message] of [
    [npy('<i8', [4], BigInt64Array.of(0n, 1n, 0n, 2n)), /label 3 is 2; the space has the classes 0 to 1/],
    [npy('<f4', [4], Float32Array.of(0, 1, 0.5, 1)), /label 2 is 0\.5/],
    [npy('<i8', [3], BigInt64Array.of(0n, 1n, 0n)), /3 labels, .* 4 examples/],
    [npy('<f4', [4, 2], new Float32Array(8)), /needed is 1/],
  ] as [Buffer, RegExp][]) {
    await writeFile(at('z.npy'), labels);
    await t.rejects(
      open({ ...spec, layout: 'NHWC', y: at('z.npy') }, [3, 2, 2], 2),
      { code: 'DATA_INVALID', message },
      String(message),
    );
  }
  await writeFile(
    at('n.npy'),
    npy(
      '<f4',
      [4, 2, 2, 3],
      Float32Array.from(pixels, (x) => (x === 30 ? Number.NaN : x)),
    ),
  );
  await t.rejects(open({ ...spec, layout: 'NHWC', x: at('n.npy') }, [3, 2, 2], 2), {
    code: 'DATA_INVALID',
    message: /element 6 of example 0|element 6 of example 2|is NaN/,
  });
  for (const more of [{ file: at('x.npz') }, { y: undefined }, { xVal: at('x.npy') }])
    await t.rejects(open({ ...spec, ...more }, [3, 2, 2], 2), { code: 'DATA_INVALID', message: /arrays: / });

  const idx = (rank: number, dims: readonly number[], data: readonly number[]): Buffer =>
    gzipSync(Buffer.from([0, 0, 8, rank, ...dims.flatMap((dim) => [0, 0, 0, dim]), ...data]));
  await writeFile(at('a-idx3-ubyte.gz'), idx(3, [4, 2, 2], [...pixels.slice(0, 16)]));
  await writeFile(at('a-idx1-ubyte.gz'), idx(1, [4], [0, 1, 0, 1]));
  const own = await open(
    { kind: 'arrays', x: at('a-idx3-ubyte.gz'), y: at('a-idx1-ubyte.gz') },
    [1, 2, 2],
    2,
  );
  t.equal(own.record.trained, 2);
});

t.test('recordings become log-mel features', async (t) => {
  const folder = await temporaryFolder(t);
  const rng = Xoshiro128.fromSeed(1);
  for (const [name, sample] of [
    ['noise', () => rng.next() - 0.5],
    ['tone', (n: number) => 0.5 * Math.sin(0.3 * n)],
  ] as const) {
    await mkdir(join(folder, name));
    for (let i = 0; i < 3; i++) {
      const wav = new wavefile.WaveFile();
      wav.fromScratch(
        1,
        8000,
        '16',
        Array.from({ length: 900 + i }, (_, n) => Math.round(32_767 * sample(n))),
      );
      await writeFile(join(folder, `${name}/${i}.wav`), wav.toBuffer());
    }
  }
  const mel = { sampleRate: 8000, window: 256, hop: 128, fft: 256, bands: 12, lowHz: 50, highHz: 3900 };
  const spec = { kind: 'sounds', folder, samples: 1024, mel };
  const { record, train } = await open(spec, [1, 12, 7], 2);
  t.match(record, {
    classNames: ['noise', 'tone'],
    trained: 4,
    validation: 2,
    sound: { samples: 1024, mel },
  });
  t.equal(train.pixels.length, 4 * 84);
  await t.rejects(open(spec, [1, 12, 8], 2), {
    code: 'DATA_INVALID',
    message: /gives 1 x 1 x 12 x 7, the space takes 1 x 12 x 8/,
  });
  await t.rejects(open({ ...spec, mel: { ...mel, bands: 100 } }, [1, 100, 7], 2), {
    code: 'DATA_INVALID',
    message: /contains no bin/,
  });
  await t.rejects(open({ ...spec, samples: 100 }, [1, 12, 7], 2), {
    code: 'DATA_INVALID',
    message: /hold no frame/,
  });
});

t.test('images of one normalisation become those of another', async (t) => {
  const images = { count: 1, channels: 2, height: 1, width: 2, labels: Uint8Array.of(0) };
  const raw = Float32Array.of(0.1, 0.5, 0.2, 0.9);
  const as = (mean: number[], deviation: number[]) => {
    const part = { ...images, pixels: raw.slice() };
    normalise(part, { mean, deviation });
    return part;
  };
  const [a, b] = [
    { mean: [0.3, 0.1], deviation: [0.2, 0.5] },
    { mean: [0.4, 0], deviation: [2, 0.25] },
  ];
  const changed = renormalise(as(a.mean, a.deviation), a, b).pixels;
  const expected = as(b.mean, b.deviation).pixels;
  t.ok(changed.every((value, i) => Math.abs(value - expected[i]!) < 1e-6));
  const same = as(a.mean, a.deviation);
  t.equal(renormalise(same, a, a), same);
});

t.test('a split holds out every class, and all of none', async (t: Test) => {
  const labels = Uint8Array.from({ length: 100 }, (_, i) => (i < 3 ? 0 : i < 50 ? 1 : 2));
  for (const share of [0.01, 0.2, 0.99]) {
    const { train, validation } = stratifiedSplit(labels, share, 7, String);
    t.same(
      [...train, ...validation].sort((a, b) => a - b),
      [...labels.keys()],
    );
    for (const part of [train, validation]) t.equal(new Set(part.map((i) => labels[i])).size, 3, `${share}`);
  }
  t.same(stratifiedSplit(labels, 0.2, 7, String), stratifiedSplit(labels, 0.2, 7, String));
  t.not(
    String(stratifiedSplit(labels, 0.2, 8, String).validation),
    String(stratifiedSplit(labels, 0.2, 7, String).validation),
  );
});
