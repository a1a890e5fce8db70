/** Operators on images, channels last, as loops over the public definitions: nothing of the converter is used. */

export interface Windows {
  readonly same: boolean;
  readonly strides: readonly [number, number];
  readonly dilations: readonly [number, number];
  readonly kernel: readonly [number, number];
}

export type Dims4 = readonly [number, number, number, number];

/** Output size and padding at the beginning: what is odd stands at the end. */
export function place({ same, strides, dilations, kernel }: Windows, size: number, i: 0 | 1) {
  const reach = (kernel[i] - 1) * dilations[i] + 1;
  const out = same ? Math.ceil(size / strides[i]) : Math.ceil((size - reach + 1) / strides[i]);
  const total = same ? Math.max(0, (out - 1) * strides[i] + reach - size) : 0;
  return { out, before: Math.floor(total / 2) };
}

/** Calls `visit` for each output position with the input positions that its window covers inside the image. */
export function slide(
  windows: Windows,
  [batch, height, width]: Dims4,
  visit: (
    at: readonly [number, number, number],
    inside: readonly (readonly [number, number, number, number])[],
  ) => void,
): readonly [number, number] {
  const [rows, columns] = [place(windows, height, 0), place(windows, width, 1)];
  const [kh, kw] = windows.kernel;
  for (let n = 0; n < batch; n++)
    for (let y = 0; y < rows.out; y++)
      for (let x = 0; x < columns.out; x++) {
        const inside: (readonly [number, number, number, number])[] = [];
        for (let i = 0; i < kh; i++)
          for (let j = 0; j < kw; j++) {
            const iy = y * windows.strides[0] - rows.before + i * windows.dilations[0];
            const ix = x * windows.strides[1] - columns.before + j * windows.dilations[1];
            if (iy >= 0 && ix >= 0 && iy < height && ix < width) inside.push([iy, ix, i, j]);
          }
        visit([n, y, x], inside);
      }
  return [rows.out, columns.out];
}

/** Filter [out, height, width, part of the input's channels]. */
export function convolution(
  windows: Windows,
  x: readonly number[],
  dims: Dims4,
  filter: readonly number[],
  [out, kh, kw, part]: Dims4,
  bias: readonly number[],
): number[] {
  const [, height, width, channels] = dims;
  const y: number[] = [];
  slide(windows, dims, ([n], inside) => {
    for (let o = 0; o < out; o++) {
      const first = Math.floor(o / (out / (channels / part))) * part;
      let sum = bias[o] ?? 0;
      for (const [iy, ix, i, j] of inside)
        for (let c = 0; c < part; c++)
          sum +=
            (x[((n * height + iy) * width + ix) * channels + first + c] as number) *
            (filter[((o * kh + i) * kw + j) * part + c] as number);
      y.push(sum);
    }
  });
  return y;
}

/** Filter [1, height, width, channels times multiplier]. */
export function depthwise(
  windows: Windows,
  x: readonly number[],
  dims: Dims4,
  filter: readonly number[],
  [, , kw, out]: Dims4,
  bias: readonly number[],
): number[] {
  const [, height, width, channels] = dims;
  const y: number[] = [];
  slide(windows, dims, ([n], inside) => {
    for (let o = 0; o < out; o++) {
      const c = Math.floor(o / (out / channels));
      let sum = bias[o] ?? 0;
      for (const [iy, ix, i, j] of inside)
        sum +=
          (x[((n * height + iy) * width + ix) * channels + c] as number) *
          (filter[(i * kw + j) * out + o] as number);
      y.push(sum);
    }
  });
  return y;
}

/** Mean or maximum over what lies inside the image. */
export function pooled(windows: Windows, x: readonly number[], dims: Dims4, kind: 'mean' | 'max'): number[] {
  const [, height, width, channels] = dims;
  const y: number[] = [];
  slide(windows, dims, ([n], inside) => {
    for (let c = 0; c < channels; c++) {
      const values = inside.map(([iy, ix]) => x[((n * height + iy) * width + ix) * channels + c] as number);
      y.push(kind === 'max' ? Math.max(...values) : values.reduce((a, b) => a + b, 0) / values.length);
    }
  });
  return y;
}

/** Every input position scatters through the filter [out, height, width, in]; `windows` slide over the output. */
export function transposed(
  windows: Windows,
  x: readonly number[],
  [batch, height, width, channels]: Dims4,
  filter: readonly number[],
  [out, kh, kw]: Dims4,
  [, oh, ow]: Dims4,
): number[] {
  const y = Array<number>(batch * oh * ow * out).fill(0);
  const [top, left] = [place(windows, oh, 0).before, place(windows, ow, 1).before];
  for (let n = 0; n < batch; n++)
    for (let iy = 0; iy < height; iy++)
      for (let ix = 0; ix < width; ix++)
        for (let i = 0; i < kh; i++)
          for (let j = 0; j < kw; j++) {
            const [oy, ox] = [iy * windows.strides[0] - top + i, ix * windows.strides[1] - left + j];
            if (oy < 0 || ox < 0 || oy >= oh || ox >= ow) continue;
            for (let o = 0; o < out; o++)
              for (let c = 0; c < channels; c++) {
                const at = ((n * oh + oy) * ow + ox) * out + o;
                y[at] =
                  (y[at] as number) +
                  (x[((n * height + iy) * width + ix) * channels + c] as number) *
                    (filter[((o * kh + i) * kw + j) * channels + c] as number);
              }
          }
  return y;
}

export const activations: readonly ((x: number) => number)[] = [
  (x) => x,
  (x) => Math.max(0, x),
  (x) => Math.min(Math.max(x, -1), 1),
  (x) => Math.min(Math.max(x, 0), 6),
  Math.tanh,
];
