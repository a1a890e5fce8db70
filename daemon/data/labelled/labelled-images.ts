/** Labelled images, or features laid out like them, normalised as the networks expect them. */
export interface LabelledImages {
  readonly count: number;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  /** count x channels x height x width, row-major. */
  readonly pixels: Float32Array;
  readonly labels: Uint8Array;
}

/** Values of one image. */
export const imageSize = ({
  channels,
  height,
  width,
}: Omit<LabelledImages, 'count' | 'pixels' | 'labels'>): number => channels * height * width;

/** `count x channels x height x width` for messages. */
export const imageShape = ({
  channels,
  height,
  width,
}: Omit<LabelledImages, 'count' | 'pixels' | 'labels'>): string => `${channels}x${height}x${width}`;

/** Some of the images, as a view. */
export const sliceImages = (images: LabelledImages, from: number, count: number): LabelledImages => {
  const size = imageSize(images);
  return {
    ...images,
    count,
    pixels: images.pixels.subarray(from * size, (from + count) * size),
    labels: images.labels.subarray(from, from + count),
  };
};

/** The images of these indices, in this order, copied. */
export function pickImages(images: LabelledImages, indices: readonly number[]): LabelledImages {
  const size = imageSize(images);
  const pixels = new Float32Array(indices.length * size);
  indices.forEach((index, i) => {
    pixels.set(images.pixels.subarray(index * size, (index + 1) * size), i * size);
  });
  const labels = Uint8Array.from(indices, (index) => images.labels[index] as number);
  return { ...images, count: indices.length, pixels, labels };
}
