import { join } from 'node:path';
import { HildaError } from '../../core/errors.js';
import type { StoredArray } from '../contract.js';
import { openIdx } from '../idx.js';
import type { LabelledImages } from './labelled-images.js';

/** Mean and deviation of Fashion-MNIST's training pixels, as shares of 255. */
export const fashionNormalisation = { mean: [0.286], deviation: [0.353] } as const;

/**
 * Reads `<prefix>-images-idx3-ubyte.gz` and `<prefix>-labels-idx1-ubyte.gz` with Fashion-MNIST's normalisation, which the
 * shipped weights were trained with. Throws DATASET_MISSING when they are absent or no such files.
 */
export async function readIdxImages(folder: string, prefix: string): Promise<LabelledImages> {
  const images = await openPart(join(folder, `${prefix}-images-idx3-ubyte.gz`), 3);
  const labels = await openPart(join(folder, `${prefix}-labels-idx1-ubyte.gz`), 1);
  const [count, height, width] = images.dims as [number, number, number];
  if (labels.dims[0] !== count)
    throw new HildaError('DATASET_MISSING', `${folder}: ${count} images beside ${labels.dims[0]} labels`);
  const [mean, deviation] = [fashionNormalisation.mean[0], fashionNormalisation.deviation[0]];
  const bytes = (await images.elements(0, count * height * width)) as Uint8Array;
  const pixels = Float32Array.from(bytes, (value) => (value / 255 - mean) / deviation);
  return {
    count,
    channels: 1,
    height,
    width,
    pixels,
    labels: (await labels.elements(0, count)) as Uint8Array,
  };
}

async function openPart(path: string, rank: number): Promise<StoredArray> {
  let array: StoredArray;
  try {
    array = await openIdx(path);
  } catch (cause) {
    throw new HildaError('DATASET_MISSING', `cannot read ${path}: ${(cause as Error).message}`, { cause });
  }
  if (array.dims.length !== rank || array.dtype !== 'uint8')
    throw new HildaError('DATASET_MISSING', `${path} is no IDX file of bytes in ${rank} dimensions`);
  return array;
}
