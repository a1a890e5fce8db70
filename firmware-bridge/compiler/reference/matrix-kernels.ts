import { type Call, requantised } from './call.js';

/** n products of one input vector with rows of weights, four at a time. */
function products(
  x: Int8Array,
  at: number,
  k: number,
  n: number,
  { record, arena, constants }: Call,
  out: number,
  columnStride: number,
): void {
  const { weights, bias, multipliers } = constants;
  let j = 0;
  for (; j + 3 < n; j += 4) {
    let a = bias[j] as number;
    let b = bias[j + 1] as number;
    let c = bias[j + 2] as number;
    let d = bias[j + 3] as number;
    let w0 = j * k;
    let w1 = w0 + k;
    let w2 = w1 + k;
    let w3 = w2 + k;
    for (let i = at; i < at + k; i++) {
      const value = x[i] as number;
      a = (a + Math.imul(value, weights[w0++] as number)) | 0;
      b = (b + Math.imul(value, weights[w1++] as number)) | 0;
      c = (c + Math.imul(value, weights[w2++] as number)) | 0;
      d = (d + Math.imul(value, weights[w3++] as number)) | 0;
    }
    arena[out + j * columnStride] = requantised(a, multipliers[j] as number, record);
    arena[out + (j + 1) * columnStride] = requantised(b, multipliers[j + 1] as number, record);
    arena[out + (j + 2) * columnStride] = requantised(c, multipliers[j + 2] as number, record);
    arena[out + (j + 3) * columnStride] = requantised(d, multipliers[j + 3] as number, record);
  }
  for (; j < n; j++) {
    let a = bias[j] as number;
    for (let i = 0; i < k; i++) a = (a + Math.imul(x[at + i] as number, weights[j * k + i] as number)) | 0;
    arena[out + j * columnStride] = requantised(a, multipliers[j] as number, record);
  }
}

export function linear(call: Call): void {
  const { record, inMemory } = call;
  const { k, n, outColumnStride } = record.rows;
  for (let row = 0; row < call.rows; row++)
    products(
      inMemory,
      call.in + row * record.inStride,
      k,
      n,
      call,
      call.out + row * record.outStride,
      outColumnStride,
    );
}

/** Index of an input line in memory; in a group, lines stand in a ring of `count` rows. */
export function lineOf({ record }: Call, iy: number): number {
  const { inWidth } = record.window;
  return (record.count > 0 ? iy % record.count : iy) * inWidth * record.inStride;
}

export function convolution(call: Call): void {
  const { record, inMemory } = call;
  const w = record.window;
  const k = w.kernelHeight * w.kernelWidth * w.inChannels;
  const taps = new Int8Array(k);
  let out = call.out;
  for (let oy = call.firstRow; oy < call.endRow; oy++)
    for (let ox = 0; ox < w.outWidth; ox++, out += record.outStride) {
      let to = 0;
      for (let ky = 0; ky < w.kernelHeight; ky++) {
        const iy = oy * w.strideHeight - w.padTop + ky * w.dilationHeight;
        const inside = iy >= 0 && iy < w.inHeight;
        const line = inside ? call.in + lineOf(call, iy) : 0;
        for (let kx = 0; kx < w.kernelWidth; kx++, to += w.inChannels) {
          const ix = ox * w.strideWidth - w.padLeft + kx * w.dilationWidth;
          if (!inside || ix < 0 || ix >= w.inWidth) taps.fill(record.zeroIn, to, to + w.inChannels);
          else {
            const from = line + ix * record.inStride;
            for (let c = 0; c < w.inChannels; c++) taps[to + c] = inMemory[from + c] as number;
          }
        }
      }
      products(taps, 0, k, w.outChannels, call, out, 1);
    }
}

export function depthwise(call: Call): void {
  const { record, inMemory, arena, constants } = call;
  const w = record.window;
  const channels = w.inChannels;
  const sums = new Int32Array(channels);
  let out = call.out;
  for (let oy = call.firstRow; oy < call.endRow; oy++)
    for (let ox = 0; ox < w.outWidth; ox++, out += record.outStride) {
      for (let c = 0; c < channels; c++) sums[c] = constants.bias[c] as number;
      for (let ky = 0; ky < w.kernelHeight; ky++) {
        const iy = oy * w.strideHeight - w.padTop + ky * w.dilationHeight;
        const isLine = iy >= 0 && iy < w.inHeight;
        const line = isLine ? call.in + lineOf(call, iy) : 0;
        for (let kx = 0; kx < w.kernelWidth; kx++) {
          const ix = ox * w.strideWidth - w.padLeft + kx * w.dilationWidth;
          const weight = (ky * w.kernelWidth + kx) * channels;
          if (isLine && ix >= 0 && ix < w.inWidth)
            addTap(sums, inMemory, line + ix * record.inStride, constants.weights, weight);
          else addPadding(sums, record.zeroIn, constants.weights, weight);
        }
      }
      for (let c = 0; c < channels; c++)
        arena[out + c] = requantised(sums[c] as number, constants.multipliers[c] as number, record);
    }
}

/** Functions of their own, small enough to be compiled well: they are where the reference spends its time. */
function addTap(sums: Int32Array, x: Int8Array, from: number, weights: Int16Array, at: number): void {
  for (let c = 0; c < sums.length; c++)
    sums[c] = (sums[c] as number) + Math.imul(x[from + c] as number, weights[at + c] as number);
}

function addPadding(sums: Int32Array, zero: number, weights: Int16Array, at: number): void {
  for (let c = 0; c < sums.length; c++)
    sums[c] = (sums[c] as number) + Math.imul(zero, weights[at + c] as number);
}

/** The product of two activations, zero points taken off both. */
export function matmul(call: Call): void {
  const { record, arena, inMemory, in1Memory } = call;
  const { k, n, in1ColumnStride, outColumnStride, multiplier } = record.rows;
  const b = new Int16Array(n * k);
  for (let j = 0; j < n; j++)
    for (let i = 0; i < k; i++)
      b[j * k + i] =
        (in1Memory[call.in1 + j * record.in1Stride + i * in1ColumnStride] as number) - record.zeroIn1;
  const a = new Int16Array(k);
  for (let row = 0; row < call.rows; row++) {
    const from = call.in + row * record.inStride;
    for (let i = 0; i < k; i++) a[i] = (inMemory[from + i] as number) - record.zeroIn;
    const out = call.out + row * record.outStride;
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let i = 0, at = j * k; i < k; i++, at++)
        sum = (sum + Math.imul(a[i] as number, b[at] as number)) | 0;
      arena[out + j * outColumnStride] = requantised(sum, multiplier, record);
    }
  }
}
