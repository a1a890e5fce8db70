import { flag } from '../layout/format.js';
import { type Call, requantised } from './call.js';
import { lineOf } from './matrix-kernels.js';

const clamp = (value: number, { low, high }: { readonly low: number; readonly high: number }): number =>
  value < low ? low : value > high ? high : value;

export function softmax({ record, arena, inMemory, constants, ...call }: Call): void {
  const { n } = record.rows;
  const table = constants.exponentials;
  for (let row = 0; row < call.rows; row++) {
    const from = call.in + row * record.inStride;
    const to = call.out + row * record.outStride;
    let maximum = -128;
    for (let i = 0; i < n; i++) maximum = Math.max(maximum, inMemory[from + i] as number);
    let sum = 0;
    for (let i = 0; i < n; i++)
      sum = (sum + (table[maximum - (inMemory[from + i] as number)] as number)) >>> 0;
    let shift = 0;
    while (sum >>> shift > 0xffff) shift++;
    const divisor = sum >>> shift;
    const reciprocal = divisor ? Math.floor(0x80000000 / divisor) : 0;
    const half = 2 ** (14 + shift);
    for (let i = 0; i < n; i++) {
      const scaled = Math.imul(table[maximum - (inMemory[from + i] as number)] as number, reciprocal) >>> 8;
      arena[to + i] = clamp(Math.floor((scaled + half) / 2 ** (15 + shift)) + record.zeroOut, record);
    }
  }
}

/** Sums and products beyond 2^53 are taken as BigInt: there is one a row, and one an element. */
export function layerNorm({ record, arena, inMemory, constants, ...call }: Call): void {
  const { n } = record.rows;
  const epsilon = BigInt(record.rows.multiplier >>> 0);
  for (let row = 0; row < call.rows; row++) {
    const from = call.in + row * record.inStride;
    const to = call.out + row * record.outStride;
    let sum = 0;
    let squares = 0;
    for (let i = 0; i < n; i++) {
      const x = inMemory[from + i] as number;
      sum += x;
      squares += x * x;
    }
    let variance = BigInt(n * squares - sum * sum) + epsilon;
    if (variance === 0n) variance = 1n;
    let scale = 0;
    while (variance >= 0x100000000n) {
      variance >>= 2n;
      scale -= 2;
    }
    let normal = Number(variance);
    while (normal < 0x40000000) {
      normal *= 4;
      scale += 2;
    }
    const reciprocal = Math.floor(0x80000000 / Math.floor(Math.sqrt(normal)));
    const shift = scale / 2 - 7;
    for (let i = 0; i < n; i++) {
      // At most 4096 * 255 * 65536 < 2^37: exact; the shift to the left stays below 2^53 for what is a unit value.
      const product = (n * (inMemory[from + i] as number) - sum) * reciprocal;
      const z =
        shift >= 0
          ? Number(BigInt.asIntN(32, BigInt(product) << BigInt(shift)))
          : Math.floor(product / 2 ** -shift) | 0;
      const gamma = constants.multipliers[i] as number;
      // floor(z gamma / 2^32) by halves of gamma.
      const high = Math.floor((z * (gamma >> 16) + Math.floor((z * (gamma & 0xffff)) / 65536)) / 65536);
      const value = (high + (constants.bias[i] as number)) | 0;
      arena[to + i] = clamp(value >> record.shift, record);
    }
  }
}

export function table({ record, arena, inMemory, constants, ...call }: Call): void {
  const { n } = record.rows;
  for (let row = 0; row < call.rows; row++)
    for (let i = 0; i < n; i++)
      arena[call.out + row * record.outStride + i] = constants.table[
        (inMemory[call.in + row * record.inStride + i] as number) + 128
      ] as number;
}

export function add({ record, arena, inMemory, in1Memory, ...call }: Call): void {
  const { n, multiplier, multiplier1, offset } = record.rows;
  for (let row = 0; row < call.rows; row++)
    for (let i = 0; i < n; i++) {
      const a = inMemory[call.in + row * record.inStride + i] as number;
      const b = in1Memory[call.in1 + row * record.in1Stride + i] as number;
      const sum = (Math.imul(a, multiplier) + Math.imul(b, multiplier1) + offset) | 0;
      arena[call.out + row * record.outStride + i] = clamp(sum >> record.shift, record);
    }
}

export function multiply({ record, arena, inMemory, in1Memory, ...call }: Call): void {
  const { n, multiplier } = record.rows;
  for (let row = 0; row < call.rows; row++)
    for (let i = 0; i < n; i++) {
      const a = (inMemory[call.in + row * record.inStride + i] as number) - record.zeroIn;
      const b = (in1Memory[call.in1 + row * record.in1Stride + i] as number) - record.zeroIn1;
      arena[call.out + row * record.outStride + i] = requantised(a * b, multiplier, record);
    }
}

export function copy({ record, arena, inMemory, ...call }: Call): void {
  const { n } = record.rows;
  for (let row = 0; row < call.rows; row++) {
    const from = call.in + row * record.inStride;
    arena.set(inMemory.subarray(from, from + n), call.out + row * record.outStride);
  }
}

export function fill({ record, arena, ...call }: Call): void {
  for (let row = 0; row < call.rows; row++) {
    const to = call.out + row * record.outStride;
    arena.fill(record.zeroOut, to, to + record.rows.n);
  }
}

export function transpose({ record, arena, inMemory, ...call }: Call): void {
  const [s0, s1, s2, s3] = record.sizes;
  const [t0, t1, t2, t3] = record.strides;
  let to = call.out;
  for (let a = 0; a < s0; a++)
    for (let b = 0; b < s1; b++)
      for (let c = 0; c < s2; c++)
        for (let d = 0; d < s3; d++)
          arena[to++] = inMemory[call.in + a * t0 + b * t1 + c * t2 + d * t3] as number;
}

/** AVERAGE_POOL and MAX_POOL: calls back with each output's taps inside the image. */
function pool(call: Call, combine: (values: number[], out: number) => void): void {
  const { record, inMemory } = call;
  const w = record.window;
  let out = call.out;
  for (let oy = call.firstRow; oy < call.endRow; oy++)
    for (let ox = 0; ox < w.outWidth; ox++, out += record.outStride)
      for (let c = 0; c < w.inChannels; c++) {
        const values: number[] = [];
        for (let ky = 0; ky < w.kernelHeight; ky++) {
          const iy = oy * w.strideHeight - w.padTop + ky * w.dilationHeight;
          if (iy < 0 || iy >= w.inHeight) continue;
          const line = call.in + lineOf(call, iy);
          for (let kx = 0; kx < w.kernelWidth; kx++) {
            const ix = ox * w.strideWidth - w.padLeft + kx * w.dilationWidth;
            if (ix >= 0 && ix < w.inWidth) values.push(inMemory[line + ix * record.inStride + c] as number);
          }
        }
        combine(values, out + c);
      }
}

export function averagePool(call: Call): void {
  const { record, arena, constants } = call;
  const excludes = (record.flags & flag.excludePad) !== 0;
  pool(call, (values, out) => {
    const sum = values.reduce((total, value) => total + value - record.zeroIn, 0);
    const multiplier = excludes ? (constants.multipliers[values.length - 1] ?? 0) : record.window.multiplier;
    arena[out] = requantised(sum, multiplier, record);
  });
}

export function maxPool(call: Call): void {
  pool(call, (values, out) => {
    call.arena[out] = clamp(
      values.reduce((a, b) => Math.max(a, b), -128),
      call.record,
    );
  });
}
