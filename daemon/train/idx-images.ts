import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { HildaError } from '../core/errors.js';

/** Labelled images, normalised as the networks expect them. */
export interface LabelledImages {
  readonly count: number;
  readonly height: number;
  readonly width: number;
  /** count x 1 x height x width, row-major. */
  readonly pixels: Float32Array;
  readonly labels: Uint8Array;
}

/** Mean and standard deviation of Fashion-MNIST's training pixels, as shares of 255. */
const pixelMean = 0.286;
const pixelDeviation = 0.353;

/**
 * Reads `<prefix>-images-idx3-ubyte.gz` and `<prefix>-labels-idx1-ubyte.gz` (LeCun's IDX format: big-endian magic
 * 0x00000803 and 0x00000801, sizes, bytes). Throws DATASET_MISSING when they are absent or no such files.
 */
export function readIdxImages(folder: string, prefix: string): LabelledImages {
  const images = readIdx(join(folder, `${prefix}-images-idx3-ubyte.gz`), 0x803, 3);
  const labels = readIdx(join(folder, `${prefix}-labels-idx1-ubyte.gz`), 0x801, 1);
  const [count, height, width] = images.sizes as [number, number, number];
  if (labels.sizes[0] !== count)
    throw new HildaError('DATASET_MISSING', `${folder}: ${count} images beside ${labels.sizes[0]} labels`);
  const pixels = Float32Array.from(images.data, (value) => (value / 255 - pixelMean) / pixelDeviation);
  return { count, height, width, pixels, labels: labels.data };
}

function readIdx(
  path: string,
  magic: number,
  rank: number,
): { readonly sizes: readonly number[]; readonly data: Uint8Array } {
  let bytes: Buffer;
  try {
    bytes = gunzipSync(readFileSync(path));
  } catch (cause) {
    throw new HildaError('DATASET_MISSING', `cannot read ${path}`, { cause });
  }
  const sizes = Array.from({ length: rank }, (_, i) =>
    bytes.length >= 8 + 4 * i ? bytes.readUInt32BE(4 + 4 * i) : 0,
  );
  const data = bytes.subarray(4 + 4 * rank);
  if (bytes.readUInt32BE(0) !== magic || data.length !== sizes.reduce((a, b) => a * b, 1)) {
    throw new HildaError('DATASET_MISSING', `${path} is no IDX file of ${rank} dimensions`);
  }
  return { sizes, data };
}

/** Some of the images, as a view. */
export const sliceImages = (images: LabelledImages, from: number, count: number): LabelledImages => {
  const size = images.height * images.width;
  return {
    ...images,
    count,
    pixels: images.pixels.subarray(from * size, (from + count) * size),
    labels: images.labels.subarray(from, from + count),
  };
};
