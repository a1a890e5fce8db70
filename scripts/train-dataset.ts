import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';

/*
 * Cuts the shipped images out of Fashion-MNIST's training split, a fixed split: its last 2,000 images are the
 * validation images, the 512 before them the calibration images. The test split is not touched.
 * Usage: node dist/scripts/train-dataset.js [SOURCE] [TARGET]
 */
const [source = '/usr/share/datasets/fashion-mnist', target = 'profiles/datasets/fashion-mnist'] =
  process.argv.slice(2);
const parts = { validation: { fromEnd: 2000, count: 2000 }, calibration: { fromEnd: 2512, count: 512 } };
mkdirSync(target, { recursive: true });
const sums: string[] = [];
for (const [file, headerBytes] of [
  ['images-idx3-ubyte.gz', 16],
  ['labels-idx1-ubyte.gz', 8],
] as const) {
  const bytes = gunzipSync(readFileSync(join(source, `train-${file}`)));
  const total = bytes.readUInt32BE(4);
  const recordBytes = (bytes.length - headerBytes) / total;
  for (const [name, { fromEnd, count }] of Object.entries(parts)) {
    const header = Buffer.from(bytes.subarray(0, headerBytes));
    header.writeUInt32BE(count, 4);
    const from = headerBytes + (total - fromEnd) * recordBytes;
    const part = Buffer.concat([header, bytes.subarray(from, from + count * recordBytes)]);
    const packed = gzipSync(part, { level: 9 });
    writeFileSync(join(target, `${name}-${file}`), packed);
    sums.push(`${createHash('sha256').update(packed).digest('hex')}  ${name}-${file}`);
  }
}
writeFileSync(
  join(target, 'SHA256SUMS'),
  `${sums.sort((a, b) => (a.slice(66) < b.slice(66) ? -1 : 1)).join('\n')}\n`,
);
