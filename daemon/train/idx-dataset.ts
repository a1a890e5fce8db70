import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { DataRecord } from '../data/labelled/data-record.js';
import { fashionNormalisation, readIdxImages } from '../data/labelled/idx-images.js';
import { type LabelledImages, sliceImages } from '../data/labelled/labelled-images.js';
import type { DatasetSpec } from './spec.js';

export type IdxDataset = Extract<DatasetSpec, { readonly heldOut: number }>;

/** The record of weights that are trained on a split of IDX files without its last `heldOut` images. */
export async function idxRecord(
  all: LabelledImages,
  { folder, heldOut, validation }: IdxDataset,
  { classes, profilesDir }: { readonly classes: number; readonly profilesDir: string },
): Promise<DataRecord> {
  const shipped = await shippedIn(all, heldOut, profilesDir);
  return {
    identity: shipped === undefined ? `sha256:${hashOf(all)}` : `shipped:${shipped}`,
    kind: 'idx',
    name: shipped ?? basename(folder),
    input: [all.channels, all.height, all.width],
    classes,
    classNames: null,
    trained: all.count - heldOut,
    validation,
    normalisation: { mean: [...fashionNormalisation.mean], deviation: [...fashionNormalisation.deviation] },
    sound: null,
  };
}

/** The record of a shipped data set, whose training part is not here. */
export const shippedRecord = (
  name: string,
  { channels, height, width, count }: LabelledImages,
  classes: number,
): DataRecord => ({
  identity: `shipped:${name}`,
  kind: 'idx',
  name,
  input: [channels, height, width],
  classes,
  classNames: null,
  trained: 0,
  validation: count,
  normalisation: { mean: [...fashionNormalisation.mean], deviation: [...fashionNormalisation.deviation] },
  sound: null,
});

/** The shipped data set that was cut out of the images' end, where none of it is trained on. */
async function shippedIn(
  all: LabelledImages,
  heldOut: number,
  profilesDir: string,
): Promise<string | undefined> {
  for (const name of readdirSync(join(profilesDir, 'datasets'))) {
    const folder = join(profilesDir, 'datasets', name);
    const parts = [await readIdxImages(folder, 'calibration'), await readIdxImages(folder, 'validation')];
    const count = parts.reduce((sum, part) => sum + part.count, 0);
    if (count > heldOut || count > all.count) continue;
    let from = all.count - count;
    const equal = parts.every((part) => {
      const same = hashOf(sliceImages(all, from, part.count)) === hashOf(part);
      from += part.count;
      return same;
    });
    if (equal) return name;
  }
  return undefined;
}

function hashOf({ channels, height, width, pixels, labels }: LabelledImages): string {
  const bytes = new Uint8Array(pixels.buffer, pixels.byteOffset, pixels.byteLength);
  return createHash('sha256')
    .update(`${channels}x${height}x${width}`)
    .update(bytes)
    .update(labels)
    .digest('hex');
}
