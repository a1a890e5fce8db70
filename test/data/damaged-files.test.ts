import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { zipSync } from 'fflate';
import sharp from 'sharp';
import t from 'tap';
import wavefile from 'wavefile';
import { HildaError } from '../../daemon/core/errors.js';
import { randomInt, Xoshiro128 } from '../../daemon/core/rng.js';
import { openArrays } from '../../daemon/data/open-arrays.js';

const rounds = Number(process.env.ROUNDS ?? 150);
const folder = mkdtempSync(join(tmpdir(), 'hilda-damaged-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));

/** A file with some bytes changed, cut out, doubled or cut off. */
function damaged(bytes: Uint8Array, rng: Xoshiro128): Uint8Array {
  let list = Buffer.from(bytes);
  for (let i = 0; i <= randomInt(rng, 3); i++) {
    const at = randomInt(rng, list.length);
    const length = 1 + randomInt(rng, 8);
    switch (randomInt(rng, 5)) {
      case 0:
        list[at] = randomInt(rng, 256);
        break;
      case 1:
        list.subarray(at, at + length).fill(rng.next() < 0.5 ? 0xff : 0);
        break;
      case 2:
        list = Buffer.concat([list.subarray(0, at), list.subarray(at + length)]);
        break;
      case 3:
        list = Buffer.concat([list.subarray(0, at + length), list.subarray(at)]);
        break;
      default:
        list = list.subarray(0, Math.max(1, at));
    }
  }
  return list;
}

const header = `{'descr': '<f4', 'fortran_order': False, 'shape': (4, 3), }`.padEnd(117);
const npy = Buffer.concat([
  Buffer.from([0x93, ...Buffer.from('NUMPY'), 1, 0, 118, 0]),
  Buffer.from(`${header}\n`),
  new Uint8Array(Float32Array.from({ length: 12 }, (_, i) => i).buffer),
]);
const wav = new wavefile.WaveFile();
wav.fromScratch(2, 8000, '16', [
  [1, 2, 3, 4],
  [5, 6, 7, 8],
]);
const picture = sharp(
  Uint8Array.from({ length: 192 }, (_, i) => (37 * i) % 256),
  { raw: { width: 8, height: 8, channels: 3 } },
);

const files: Record<string, () => Promise<Uint8Array> | Uint8Array> = {
  'x.npy': () => npy,
  'stored.npz': () => zipSync({ 'x.npy': [npy, { level: 0 }] }),
  'deflated.npz': () => zipSync({ 'x.npy': npy }),
  'x.wav': () => wav.toBuffer(),
  'x.png': () => picture.clone().png().toBuffer(),
  'x.jpg': () => picture.clone().jpeg().toBuffer(),
  'x.json': () => Buffer.from('{"x": [[1, 2.5], [3e2, -4]]}'),
  'x-idx2-ubyte.gz': () => gzipSync(Buffer.from([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6])),
  'x-idx2-ubyte': () => Buffer.from([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6]),
};

for (const [name, make] of Object.entries(files))
  t.test(`${name}: damaged bytes are read or refused, and nothing else`, async (t) => {
    const path = join(folder, name);
    const good = await make();
    const read = async (): Promise<number> => {
      const source = await openArrays(path, { anyValue: true });
      try {
        return (await source.examples(0, source.count)).length;
      } finally {
        await source.close();
      }
    };
    writeFileSync(path, good);
    t.ok((await read()) > 0, 'whole');
    const rng = Xoshiro128.fromSeed(11);
    let refused = 0;
    for (let i = 0; i < rounds; i++) {
      writeFileSync(path, damaged(good, rng));
      try {
        await read();
      } catch (error) {
        refused += 1;
        if (!(error instanceof HildaError) || error.code !== 'DATA_INVALID' || !error.message.includes(name))
          t.fail(`round ${i}: ${error instanceof Error ? error.stack : error}`);
      }
    }
    t.ok(refused > rounds / 4, `${refused} of ${rounds} refused`);
  });
