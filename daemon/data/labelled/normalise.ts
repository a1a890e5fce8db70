import { invalid } from '../invalid.js';
import type { DataRecord } from './data-record.js';
import { imageSize, type LabelledImages } from './labelled-images.js';

export type Normalisation = DataRecord['normalisation'];

/** Mean and deviation of each channel; 1 for a channel that never changes. */
export function measured(images: LabelledImages, name: string): Normalisation {
  const { channels, height, width, count, pixels } = images;
  const area = height * width;
  const [mean, deviation]: [number[], number[]] = [[], []];
  for (let c = 0; c < channels; c++) {
    let sum = 0;
    let squares = 0;
    for (let i = 0; i < count; i++) {
      const from = (i * channels + c) * area;
      for (let p = from; p < from + area; p++) sum += pixels[p] as number;
    }
    const centre = sum / (count * area);
    for (let i = 0; i < count; i++) {
      const from = (i * channels + c) * area;
      for (let p = from; p < from + area; p++) squares += ((pixels[p] as number) - centre) ** 2;
    }
    const spread = Math.sqrt(squares / (count * area));
    mean.push(centre);
    // Less is the rounding of a channel that never changes.
    deviation.push(spread > 1e-6 * Math.abs(centre) ? spread : 0);
  }
  if (!deviation.some((spread) => spread > 0)) throw invalid(`${name}: all examples are alike`);
  return { mean, deviation: deviation.map((spread) => (spread > 0 ? spread : 1)) };
}

/** In place. */
export function normalise(images: LabelledImages, { mean, deviation }: Normalisation): void {
  const { channels, height, width, pixels, count } = images;
  const size = imageSize(images);
  for (let i = 0; i < count * size; i++) {
    const c = Math.floor(i / (height * width)) % channels;
    pixels[i] = ((pixels[i] as number) - (mean[c] as number)) / (deviation[c] as number);
  }
}

/** Images normalised one way as another asks for them: the same where both ways are one. */
export function renormalise(images: LabelledImages, from: Normalisation, to: Normalisation): LabelledImages {
  const { channels, height, width, pixels } = images;
  const [offset, factor]: [number[], number[]] = [[], []];
  for (let c = 0; c < channels; c++) {
    const [mean, deviation] = [from.mean[c] as number, from.deviation[c] as number];
    factor.push(deviation / (to.deviation[c] as number));
    offset.push((mean - (to.mean[c] as number)) / (to.deviation[c] as number));
  }
  if (factor.every((value) => value === 1) && offset.every((value) => value === 0)) return images;
  const changed = pixels.map((value, i) => {
    const c = Math.floor(i / (height * width)) % channels;
    return value * (factor[c] as number) + (offset[c] as number);
  });
  return { ...images, pixels: changed };
}
