import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { HildaError } from '../../core/errors.js';
import { hashFile } from './hash-file.js';
import { readIdxImages } from './idx-images.js';
import type { LabelledImages } from './labelled-images.js';

export interface ShippedImages {
  readonly calibration: LabelledImages;
  readonly validation: LabelledImages;
}

/** By folder, the latest last: studies share their images, and reading them takes half a second of this thread. */
const kept = new Map<string, { readonly stamp: string; readonly images: Promise<ShippedImages> }>();
const mostKept = 2;

/**
 * The images of profiles/datasets/NAME, checked against the SHA256SUMS beside them: weights name a shipped data set by its
 * name alone, so other bytes under that name would score them unseen. Throws DATASET_MISSING, DATA_INVALID.
 */
export async function readShipped(profilesDir: string, name: string): Promise<ShippedImages> {
  const folder = join(profilesDir, 'datasets', name);
  const stamp = await stampOf(folder);
  const known = kept.get(folder);
  if (known?.stamp === stamp) return known.images;
  const entry = { stamp, images: read(folder) };
  kept.delete(folder);
  kept.set(folder, entry);
  for (const oldest of [...kept.keys()].slice(0, -mostKept)) kept.delete(oldest);
  entry.images.catch(() => {
    if (kept.get(folder) === entry) kept.delete(folder);
  });
  return entry.images;
}

/** Changes with the files: their names, sizes and times. */
async function stampOf(folder: string): Promise<string> {
  const names = await readdir(folder).catch(() => []);
  const facts = names.sort().map(async (name) => {
    const { size, mtimeMs, ctimeMs, ino } = await stat(join(folder, name));
    return [name, size, mtimeMs, ctimeMs, ino].join(' ');
  });
  return (await Promise.all(facts)).join('\n');
}

async function read(folder: string): Promise<ShippedImages> {
  const images = {
    calibration: await readIdxImages(folder, 'calibration'),
    validation: await readIdxImages(folder, 'validation'),
  };
  const sums = await readFile(join(folder, 'SHA256SUMS'), 'utf8').catch(() => '');
  const known = new Map(sums.split('\n').map((line) => [line.slice(66), line.slice(0, 64)]));
  for (const part of ['calibration', 'validation'])
    for (const file of [`${part}-images-idx3-ubyte.gz`, `${part}-labels-idx1-ubyte.gz`]) {
      const path = join(folder, file);
      if (known.get(file) !== (await hashFile(path)))
        throw new HildaError('DATA_INVALID', `${path} is not the file that SHA256SUMS beside it names`, {
          hint: 'Restore the shipped files. Give images of your own with `kind`: docs/training.md.',
        });
    }
  return images;
}
