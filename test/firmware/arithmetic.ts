/** The integer formulas of ABI.md on plain arrays: written from its text alone, sharing nothing with C or compiler. */

export interface Quant {
  readonly zeroOut: number;
  readonly low: number;
  readonly high: number;
  readonly shift: number;
}

const clamp = (value: number, { low, high }: { readonly low: number; readonly high: number }): number =>
  Math.min(Math.max(value, low), high);

/** clamp(zeroOut + ((int64(int32(acc << shift)) * m + 2^31) >> 32)), exact in doubles by halves of m. */
export function requantise(accumulator: number, m: number, quant: Quant): number {
  const scaled = (accumulator << quant.shift) | 0;
  const [high, low] = [m >> 16, m & 0xffff];
  const carry = Math.floor((scaled * low + 2 ** 31) / 65536);
  return clamp(quant.zeroOut + Math.floor((scaled * high + carry) / 65536), quant);
}

export interface Layer extends Quant {
  readonly k: number;
  readonly n: number;
  /** [n][k] */
  readonly weights: Int8Array;
  readonly bias: Int32Array;
  readonly multipliers: Int32Array;
}

/** x [k] to out [n]. */
export function linear(x: ArrayLike<number>, layer: Layer): number[] {
  return Array.from({ length: layer.n }, (_, j) => {
    let sum = layer.bias[j] as number;
    for (let i = 0; i < layer.k; i++) sum += (x[i] as number) * (layer.weights[j * layer.k + i] as number);
    return requantise(sum, layer.multipliers[j] as number, layer);
  });
}

export interface Window {
  readonly inHeight: number;
  readonly inWidth: number;
  readonly outHeight: number;
  readonly outWidth: number;
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly dilation: readonly [number, number];
  readonly padTop: number;
  readonly padLeft: number;
}

/** Calls back with the pixel index of each tap of an output pixel, or -1 outside the image. */
export function taps(w: Window, oy: number, ox: number): number[] {
  const found: number[] = [];
  for (let ky = 0; ky < w.kernel[0]; ky++)
    for (let kx = 0; kx < w.kernel[1]; kx++) {
      const y = oy * w.stride[0] - w.padTop + ky * w.dilation[0];
      const x = ox * w.stride[1] - w.padLeft + kx * w.dilation[1];
      found.push(y >= 0 && y < w.inHeight && x >= 0 && x < w.inWidth ? y * w.inWidth + x : -1);
    }
  return found;
}

type Pixels = readonly ArrayLike<number>[];

const overOutputs = (w: Window, pixel: (at: number[]) => number[]): number[][] =>
  Array.from({ length: w.outHeight * w.outWidth }, (_, i) =>
    pixel(taps(w, Math.floor(i / w.outWidth), i % w.outWidth)),
  );

export const convolution = (
  x: Pixels,
  channels: number,
  w: Window,
  zeroIn: number,
  layer: Layer,
): number[][] =>
  overOutputs(w, (at) =>
    linear(
      at.flatMap((p) =>
        p < 0 ? new Array<number>(channels).fill(zeroIn) : Array.from(x[p] as ArrayLike<number>),
      ),
      layer,
    ),
  );

/** weights [taps][channels]. */
export const depthwise = (x: Pixels, channels: number, w: Window, zeroIn: number, layer: Layer): number[][] =>
  overOutputs(w, (at) =>
    Array.from({ length: channels }, (_, c) => {
      const sum = at.reduce(
        (a, p, tap) =>
          a +
          (p < 0 ? zeroIn : ((x[p] as ArrayLike<number>)[c] as number)) *
            (layer.weights[tap * channels + c] as number),
        layer.bias[c] as number,
      );
      return requantise(sum, layer.multipliers[c] as number, layer);
    }),
  );

/** `multipliers[taps inside - 1]`. */
export const averagePool = (
  x: Pixels,
  channels: number,
  w: Window,
  zeroIn: number,
  multiplier: (inside: number) => number,
  quant: Quant,
): number[][] =>
  overOutputs(w, (at) => {
    const inside = at.filter((p) => p >= 0);
    return Array.from({ length: channels }, (_, c) => {
      const sum = inside.reduce((a, p) => a + ((x[p] as ArrayLike<number>)[c] as number) - zeroIn, 0);
      return requantise(sum, inside.length === 0 ? multiplier(0) : multiplier(inside.length), quant);
    });
  });

export const maxPool = (x: Pixels, channels: number, w: Window, quant: Quant): number[][] =>
  overOutputs(w, (at) =>
    Array.from({ length: channels }, (_, c) =>
      clamp(
        Math.max(-128, ...at.filter((p) => p >= 0).map((p) => (x[p] as ArrayLike<number>)[c] as number)),
        quant,
      ),
    ),
  );

/** a [k] times b(i, j). */
export const product = (
  a: ArrayLike<number>,
  b: (i: number, j: number) => number,
  n: number,
  zeros: readonly [number, number],
  multiplier: number,
  quant: Quant,
): number[] =>
  Array.from({ length: n }, (_, j) => {
    let sum = 0;
    for (let i = 0; i < a.length; i++) sum += ((a[i] as number) - zeros[0]) * (b(i, j) - zeros[1]);
    return requantise(sum, multiplier, quant);
  });

export function softmax(x: ArrayLike<number>, table: Uint16Array, quant: Quant): number[] {
  const values = Array.from(x);
  const maximum = Math.max(...values);
  const exponentials = values.map((v) => table[maximum - v] as number);
  const sum = exponentials.reduce((a, e) => a + e, 0);
  let s = 0;
  while (Math.floor(sum / 2 ** s) >= 65536) s++;
  const divisor = Math.floor(sum / 2 ** s);
  const reciprocal = divisor === 0 ? 0 : Math.floor(2 ** 31 / divisor);
  return exponentials.map((e) => {
    const scaled = Math.floor(((e * reciprocal) % 2 ** 32) / 256);
    return clamp(quant.zeroOut + Math.floor((scaled + 2 ** (14 + s)) / 2 ** (15 + s)), quant);
  });
}

export interface Norm {
  readonly epsilon: number;
  readonly gamma: Int32Array;
  readonly beta: Int32Array;
}

export function layerNorm(x: ArrayLike<number>, norm: Norm, f: number, quant: Quant): number[] {
  const values = Array.from(x, BigInt);
  const n = BigInt(values.length);
  const sum = values.reduce((a, v) => a + v, 0n);
  let variance = n * values.reduce((a, v) => a + v * v, 0n) - sum * sum + BigInt(norm.epsilon);
  if (variance === 0n) variance = 1n;
  let h = 0;
  const w = (): bigint => (h >= 0 ? variance << BigInt(h) : variance >> BigInt(-h));
  while (w() >= 2n ** 32n) h -= 2;
  while (w() < 2n ** 30n) h += 2;
  let root = BigInt(Math.floor(Math.sqrt(Number(w()))));
  while (root * root > w()) root--;
  while ((root + 1n) * (root + 1n) <= w()) root++;
  const reciprocal = 2n ** 31n / root;
  return values.map((v, i) => {
    const shift = h / 2 - 7;
    const raw = (n * v - sum) * reciprocal;
    const z = BigInt.asIntN(32, shift >= 0 ? raw << BigInt(shift) : raw >> BigInt(-shift));
    const out = Number(
      BigInt.asIntN(32, ((z * BigInt(norm.gamma[i] as number)) >> 32n) + BigInt(norm.beta[i] as number)),
    );
    return clamp(out >> f, quant);
  });
}

export const add = (
  a: number,
  b: number,
  [ma, mb, offset]: readonly [number, number, number],
  shift: number,
  quant: Quant,
): number => clamp((a * ma + b * mb + offset) >> shift, quant);

/** GENERATE: [outputs][depth] of +127 and -127, from block `first` of four outputs on. */
export function generated(seed: number, first: number, outputs: number, depth: number): Int8Array {
  const word = (value: bigint): bigint => BigInt.asUintN(32, value);
  const golden = 0x9e3779b9n;
  const weights = new Int8Array(outputs * depth);
  for (let block = 0; 4 * block < outputs; block++) {
    let x = word(BigInt(seed) + BigInt(first + block + 1) * golden);
    x = word((x ^ (x >> 16n)) * 0x21f0aaadn);
    x = word((x ^ (x >> 15n)) * 0x735a2d97n);
    x ^= x >> 15n;
    if (x === 0n) x = golden;
    for (let i = 0; i < depth; i++) {
      if (i % 8 === 0) {
        x = word(x ^ (x << 13n));
        x ^= x >> 17n;
        x = word(x ^ (x << 5n));
      }
      for (let j = 4 * block; j < Math.min(outputs, 4 * block + 4); j++) {
        const bit = (x >> BigInt(4 * (i % 8) + (j % 4))) & 1n;
        weights[j * depth + i] = bit ? -127 : 127;
      }
    }
  }
  return weights;
}

const held16 = (value: number): number => Math.min(32767, Math.max(-32768, value));
const wholeRange = { low: -32768, high: 32767 };

/** WIDE: requant without the clamp of a byte, the nearest that 16 bits hold. */
export const wide = (accumulator: number, m: number, quant: Quant): number =>
  requantise(accumulator, m, { ...quant, ...wholeRange });

/** The straight line between the entries of a table of 257 around a 16-bit value. */
export function along(table: ArrayLike<number>, value: number): number {
  const place = (value + 32768) / 256;
  const [from, to] = [Math.floor(place), Math.floor(place) + 1].map((i) => table[i] as number) as [
    number,
    number,
  ];
  return from + Math.floor((to - from) * (place - Math.floor(place)) + 0.5);
}

/** What is kept of a state and what comes to it; both curves say the opposite of their share. */
function nextState(added: number, bent: number, kept: number, state: number, productShift: number): number {
  const exact = -(
    BigInt(Math.floor((added * bent) / 2 ** productShift)) +
    ((BigInt(kept) * BigInt(state)) >> 15n)
  );
  return Number(BigInt.asIntN(32, exact));
}

/** LSTM_CELL of one element. */
export function lstmCell(
  [i, o, f, g]: readonly [number, number, number, number],
  cell: number,
  curves: readonly ArrayLike<number>[],
  { productShift, argumentShift }: { readonly productShift: number; readonly argumentShift: number },
): { readonly cell: number; readonly output: number } {
  const [input, output, forget, candidate, bend] = curves as FiveCurves;
  const next = nextState(along(input, i), along(candidate, g), along(forget, f), cell, productShift);
  const place = held16(Math.floor(Math.floor(next / 2 ** argumentShift) / 2 + 0.5));
  return { cell: next, output: Math.floor((along(output, o) * along(bend, place)) / 256 + 0.5) };
}

type Table = ArrayLike<number>;
type FiveCurves = readonly [Table, Table, Table, Table, Table];

/** GRU_CELL of one element, of two or four gates: its next state. */
export function gruCell(
  gates: readonly number[],
  state: number,
  curves: readonly ArrayLike<number>[],
  { productShift, argumentShift }: { readonly productShift: number; readonly argumentShift: number },
): number {
  const [kept, added, candidate, reset] = curves as [Table, Table, Table, Table];
  const [z, r, input, own] = gates as [number, number, number, number];
  const sum = (): number => input + Math.floor((along(reset, r) * own) / 32768 + 0.5);
  const argument = gates.length === 2 ? r : held16(sum() * 2 ** argumentShift);
  return nextState(along(added, z), along(candidate, argument), along(kept, z), state, productShift);
}
