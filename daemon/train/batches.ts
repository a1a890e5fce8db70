import { type Rng, randomInt, shuffled, Xoshiro128 } from '../core/rng.js';
import { imageSize, type LabelledImages } from '../data/labelled/labelled-images.js';

export interface Augmentation {
  readonly flip: boolean;
  /** Largest shift along each axis; pixels that come in from outside repeat the image's corner value. */
  readonly shiftPixels: number;
}

export interface Batch {
  /** [size, channels, height, width]. */
  readonly images: Float32Array;
  readonly labels: Uint8Array;
}

/**
 * The batches of a training run, each a function of (seed, step) alone: a resumed run sees what an unbroken one would
 * have. Every epoch is a fresh shuffle; images that do not fill the last batch wait for another epoch.
 */
export class Batches {
  readonly #images: LabelledImages;
  readonly #size: number;
  readonly #seed: number;
  readonly #augmentation: Augmentation;
  #epoch = -1;
  #order: readonly number[] = [];

  constructor(
    images: LabelledImages,
    {
      size,
      seed,
      augmentation,
    }: { readonly size: number; readonly seed: number; readonly augmentation: Augmentation },
  ) {
    this.#images = images;
    this.#size = size;
    this.#seed = seed;
    this.#augmentation = augmentation;
  }

  get stepsPerEpoch(): number {
    return Math.floor(this.#images.count / this.#size);
  }

  at(step: number): Batch {
    const epoch = Math.floor(step / this.stepsPerEpoch);
    if (epoch !== this.#epoch) {
      this.#order = shuffled(
        streamOf(this.#seed, 'epoch', epoch),
        Array.from({ length: this.#images.count }, (_, i) => i),
      );
      this.#epoch = epoch;
    }
    const rng = streamOf(this.#seed, 'augmentation', step);
    const from = (step % this.stepsPerEpoch) * this.#size;
    const { pixels, labels } = this.#images;
    const size = imageSize(this.#images);
    const images = new Float32Array(this.#size * size);
    const chosen = new Uint8Array(this.#size);
    for (let i = 0; i < this.#size; i++) {
      const index = this.#order[from + i] as number;
      chosen[i] = labels[index] as number;
      augment(
        pixels.subarray(index * size, (index + 1) * size),
        images.subarray(i * size, (i + 1) * size),
        this.#images,
        this.#augmentation,
        rng,
      );
    }
    return { images, labels: chosen };
  }
}

/** Part `i` of a batch cut into `count` equal ones. */
export function partOf({ images, labels }: Batch, i: number, count: number): Batch {
  const [size, values] = [labels.length / count, images.length / count];
  return {
    images: images.slice(i * values, (i + 1) * values),
    labels: labels.subarray(i * size, (i + 1) * size),
  };
}

/** Independent streams of one seed, by purpose and counter. */
export function streamOf(seed: number, purpose: string, counter: number): Rng {
  let hash = seed | 0;
  for (const code of [...purpose].map((c) => c.charCodeAt(0))) hash = Math.imul(hash ^ code, 0x01000193);
  return Xoshiro128.fromSeed(Math.imul(hash, 0x9e3779b1) + counter);
}

function augment(
  from: Float32Array,
  to: Float32Array,
  { channels, height, width }: Pick<LabelledImages, 'channels' | 'height' | 'width'>,
  { flip, shiftPixels }: Augmentation,
  rng: Rng,
): void {
  const mirrored = flip && rng.next() < 0.5;
  const shift = (): number => (shiftPixels === 0 ? 0 : randomInt(rng, 2 * shiftPixels + 1) - shiftPixels);
  const [down, right] = [shift(), shift()];
  for (let c = 0; c < channels; c++) {
    const plane = c * height * width;
    const background = from[plane] as number;
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const [fromY, shiftedX] = [y - down, x - right];
        const fromX = mirrored ? width - 1 - shiftedX : shiftedX;
        const inside = fromY >= 0 && fromY < height && fromX >= 0 && fromX < width;
        to[plane + y * width + x] = inside ? (from[plane + fromY * width + fromX] as number) : background;
      }
    }
  }
}
