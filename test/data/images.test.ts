import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import t, { type Test } from 'tap';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import { type OpenOptions, openArrays } from '../../daemon/data/open-arrays.js';

async function folder(t: Test): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'hilda-data-'));
  t.teardown(() => rm(path, { recursive: true, force: true }));
  return path;
}

async function all(
  path: string,
  options?: OpenOptions,
): Promise<{ dims: readonly number[]; values: number[] }> {
  const source = await openArrays(path, options);
  try {
    const values = [...(await source.examples(0, source.count))].map(Number);
    return { dims: [source.count, ...source.dims], values };
  } finally {
    await source.close();
  }
}

const noise = (count: number, seed: number): number[] => {
  const rng = Xoshiro128.fromSeed(seed);
  return Array.from({ length: count }, () => rng.next());
};

const png = (
  path: string,
  width: number,
  height: number,
  channels: 1 | 2 | 3 | 4,
  pixels: readonly number[],
) =>
  sharp(Uint8Array.from(pixels), { raw: { width, height, channels } })
    .toColourspace(channels < 3 ? 'b-w' : 'srgb')
    .png()
    .toFile(path);

t.test('pixels come as stored, in the layout and scale that are asked for', async (t) => {
  const work = await folder(t);
  const at = (name: string): string => join(work, name);
  const pixels = noise(2 * 3 * 3, 1).map((x) => Math.floor(256 * x));
  await png(at('b.png'), 3, 2, 3, pixels);
  const close = (found: number[], expected: number[], text: string): void => {
    t.equal(found.length, expected.length, text);
    const worst = Math.max(...found.map((value, i) => Math.abs(value - (expected[i] as number))));
    t.ok(worst < 1e-5, `${text}: ${worst}`);
  };
  const planes = [0, 1, 2].flatMap((c) => pixels.filter((_, i) => i % 3 === c));
  const nchw = await all(at('b.png'));
  t.same(nchw.dims, [1, 1, 3, 2, 3]);
  close(
    nchw.values,
    planes.map((p) => p / 255),
    'NCHW in 0 to 1',
  );
  const nhwc = await all(at('b.png'), { dims: [1, 2, 3, 3], images: { layout: 'NHWC', range: [-1, 1] } });
  close(
    nhwc.values,
    pixels.map((p) => p / 127.5 - 1),
    'NHWC in -1 to 1',
  );
  const [mean, deviation] = [
    [0.485, 0.456, 0.406],
    [0.229, 0.224, 0.225],
  ];
  close(
    (await all(at('b.png'), { images: { mean, deviation } })).values,
    planes.map(
      (p, i) => (p / 255 - (mean[Math.floor(i / 6)] as number)) / (deviation[Math.floor(i / 6)] as number),
    ),
    'mean and deviation by channel',
  );
  await t.rejects(openArrays(at('b.png'), { dims: [1, 3, 2, 3] }), {
    code: 'DATA_INVALID',
    message: /NCHW or NHWC/,
  });
  const grey = await all(at('b.png'), { images: { channels: 1, range: [0, 255] } });
  const luma = Array.from({ length: 6 }, (_, i) =>
    Math.round(0.299 * pixels[3 * i]! + 0.587 * pixels[3 * i + 1]! + 0.114 * pixels[3 * i + 2]!),
  );
  close(grey.values, luma, 'grey by BT.601');

  await png(at('g.png'), 2, 1, 1, [7, 200]);
  t.same(
    (await all(at('g.png'), { images: { range: [0, 255] } })).values,
    [7, 200, 7, 200, 7, 200],
    'grey as RGB',
  );
  await png(at('a.png'), 1, 1, 4, [10, 20, 30, 0]);
  t.same(
    (await all(at('a.png'), { images: { range: [0, 255] } })).values,
    [10, 20, 30],
    'behind transparency',
  );
  const deep = sharp(Uint16Array.of(0x1234, 0xffee, 0x00ff), { raw: { width: 1, height: 1, channels: 3 } });
  await deep.toColourspace('rgb16').png().toFile(at('d.png'));
  t.same((await all(at('d.png'), { images: { range: [0, 255] } })).values, [0x12, 0xff, 0], '16 bit');
  const greys = sharp(Uint16Array.of(0x1234, 0xffee), { raw: { width: 2, height: 1, channels: 1 } });
  await greys.toColourspace('grey16').png().toFile(at('e.png'));
  for (const channels of [1, 3] as const)
    t.same(
      (await all(at('e.png'), { images: { channels, range: [0, 255] } })).values,
      Array.from({ length: 2 * channels }, (_, i) => [0x12, 0xff][i % 2]),
      `16 bit grey as ${channels}`,
    );
  // EXIF orientation 6: what is stored left to right is shown top to bottom.
  const wide = sharp(Buffer.alloc(16 * 8 * 3, 90), { raw: { width: 16, height: 8, channels: 3 } });
  await wide.jpeg().withMetadata({ orientation: 6 }).toFile(at('turned.jpg'));
  t.same((await all(at('turned.jpg'))).dims, [1, 1, 3, 16, 8], 'turned as EXIF says');
});

t.test('resizing is a triangle over the area that a pixel covers', async (t) => {
  const path = join(await folder(t), 'x.png');
  const pixels = noise(8 * 8, 2).map((x) => Math.floor(256 * x));
  await png(path, 8, 8, 1, pixels);
  const { values } = await all(path, { dims: [1, 1, 4, 4], images: { range: [0, 255] } });
  /** Weights of a triangle of twice the shrink factor's half width around an output pixel's centre. */
  const weights = (i: number): number[] => {
    const raw = Array.from({ length: 8 }, (_, n) => Math.max(0, 1 - Math.abs(n + 0.5 - 2 * (i + 0.5)) / 2));
    const sum = raw.reduce((a, b) => a + b);
    return raw.map((weight) => weight / sum);
  };
  for (let y = 1; y < 3; y++)
    for (let x = 1; x < 3; x++) {
      const [rows, columns] = [weights(y), weights(x)];
      let expected = 0;
      for (let v = 0; v < 8; v++)
        for (let u = 0; u < 8; u++) expected += rows[v]! * columns[u]! * pixels[8 * v + u]!;
      t.ok(Math.abs(values[4 * y + x]! - expected) <= 1.5, `${values[4 * y + x]} for ${expected}`);
    }
});

t.test('folders of images: order, sizes, and files that are none', async (t) => {
  const work = await folder(t);
  const at = (name: string): string => join(work, name);
  for (const [name, value] of [
    ['b.png', 1],
    ['B.png', 2],
    ['a10.png', 3],
    ['a9.PNG', 4],
  ] as const)
    await sharp(Buffer.alloc(4, value), { raw: { width: 2, height: 2, channels: 1 } })
      .toColourspace('b-w')
      .png()
      .toFile(at(name));
  await writeFile(at('.hidden.png'), 'x');
  await writeFile(at('notes.txt'), 'x');
  const options: OpenOptions = { dims: [1, 1, 2, 2], images: { range: [0, 255] } };
  const { dims, values } = await all(work, options);
  t.same(dims, [4, 1, 1, 2, 2]);
  t.same(
    [0, 4, 8, 12].map((i) => values[i]),
    [2, 3, 4, 1],
    'by code unit',
  );
  t.equal((await all(work, { ...options, as: 'uint8' })).values[0], 2, 'as the pixels they were');
  await t.rejects(all(work, { dims: options.dims!, as: 'uint8' }), {
    code: 'DATA_INVALID',
    message: /uint8/,
  });

  await png(at('c.png'), 3, 2, 1, [1, 2, 3, 4, 5, 6]);
  await t.rejects(openArrays(work, { images: { channels: 1 } }), {
    code: 'DATA_INVALID',
    message: /c\.png is 3 x 2, but .*B\.png is 2 x 2/,
  });
  const bytes = await sharp(Buffer.alloc(30_000, 90), { raw: { width: 100, height: 100, channels: 3 } })
    .jpeg()
    .toBuffer();
  await writeFile(at('c.png'), bytes.subarray(0, bytes.length - 200));
  await t.rejects(
    all(work, options),
    { code: 'DATA_INVALID', message: /c\.png does not decode/ },
    'truncated',
  );
  await writeFile(at('c.png'), '<svg xmlns="http://www.w3.org/2000/svg" width="2" height="2"/>');
  await t.rejects(
    all(work, options),
    { code: 'DATA_INVALID', message: /c\.png does not decode/ },
    'SVG is never parsed',
  );
  await rm(at('c.png'));
  await mkdir(at('c.png'));
  await t.rejects(all(work, options), { code: 'DATA_INVALID', message: /c\.png is a folder/ });
  await rm(at('c.png'), { recursive: true });
  await writeFile(at('c.webp'), 'x');
  await t.rejects(openArrays(work, options), {
    code: 'DATA_INVALID',
    message: /c\.webp is in a format that is not read/,
  });
  await rm(at('c.webp'));
  await writeFile(at('c.wav'), 'x');
  await t.rejects(openArrays(work, options), { code: 'DATA_INVALID', message: /images and recordings/ });
});
