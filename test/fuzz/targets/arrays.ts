import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { zipSync } from 'fflate';
import { openArrays } from '../../../daemon/data/open-arrays.js';
import { npyBytes } from '../../../daemon/data/write-npy.js';
import type { FuzzTarget } from '../guided.js';
import { mutateBytes } from '../mutate.js';

/** A file and what its name ends in: the reader goes by the name. */
interface NamedBytes {
  readonly ending: string;
  readonly bytes: Uint8Array;
}

const npy = npyBytes(Float32Array.from([1, 2, 3, 4, 5, 6]), 'float32', [2, 3]);

function wav(): Uint8Array {
  const samples = Buffer.alloc(64);
  const head = Buffer.alloc(44);
  head.write('RIFF', 0, 'latin1');
  head.writeUInt32LE(36 + samples.length, 4);
  head.write('WAVEfmt ', 8, 'latin1');
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(8000, 24);
  head.writeUInt32LE(16_000, 28);
  head.writeUInt16LE(2, 32);
  head.writeUInt16LE(16, 34);
  head.write('data', 36, 'latin1');
  head.writeUInt32LE(samples.length, 40);
  return Buffer.concat([head, samples]);
}

const idx = Buffer.concat([Buffer.of(0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 2), Buffer.of(1, 2, 3, 4)]);
const png = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==',
  'base64',
);

/** Arrays, images and sounds of people, read to their end. */
export function arrayTarget(): FuzzTarget<NamedBytes> {
  const folder = mkdtemp(join(tmpdir(), 'hilda-fuzz-'));
  return {
    name: 'arrays',
    seeds: () => [
      { ending: '.npy', bytes: npy },
      { ending: '.npz', bytes: zipSync({ 'a.npy': npy, 'b.npy': npy }, { level: 6 }) },
      { ending: '.npz', bytes: zipSync({ 'a.npy': npy }, { level: 0 }) },
      { ending: '.json', bytes: new TextEncoder().encode('[[1, 2.5], [3e2, -4]]') },
      { ending: '.idx', bytes: idx },
      { ending: '.idx.gz', bytes: gzipSync(idx) },
      { ending: '.wav', bytes: wav() },
      { ending: '.png', bytes: png },
    ],
    mutate: ({ ending, bytes }, corpus, rng) => ({
      ending,
      bytes: mutateBytes(
        bytes,
        corpus.filter((other) => other.ending === ending).map((other) => other.bytes),
        rng,
      ),
    }),
    run: async ({ ending, bytes }) => {
      const path = join(await folder, `x${ending}`);
      await writeFile(path, bytes);
      const source = await openArrays(path, { anyValue: true });
      try {
        if (source.count > 0) await source.examples(0, Math.min(source.count, 3));
      } finally {
        await source.close();
      }
    },
    show: ({ ending, bytes }) => `${ending} ${Buffer.from(bytes).toString('base64')}`,
    close: async () => rm(await folder, { recursive: true, force: true }),
  };
}
