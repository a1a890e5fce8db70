import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HildaError } from '../../core/errors.js';
import { hashFile } from './hash-file.js';
import { readIdxImages } from './idx-images.js';
import type { LabelledImages } from './labelled-images.js';

export interface ShippedImages {
  readonly calibration: LabelledImages;
  readonly validation: LabelledImages;
}

/**
 * The images of profiles/datasets/NAME, checked against the SHA256SUMS beside them: weights name a shipped data set by its
 * name alone, so other bytes under that name would score them unseen. Throws DATASET_MISSING, DATA_INVALID.
 */
export async function readShipped(profilesDir: string, name: string): Promise<ShippedImages> {
  const folder = join(profilesDir, 'datasets', name);
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
