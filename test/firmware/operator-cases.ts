import type { Rng } from '../../daemon/core/rng.js';
import {
  code,
  flag,
  reference,
  type WeightLayout,
  weightLayouts,
} from '../../firmware-bridge/compiler/layout/format.js';
import { packWeights } from '../../firmware-bridge/compiler/layout/pack-weights.js';
import * as exact from './arithmetic.js';
import { CaseBuilder, type ProgramCase, strided } from './program-case.js';
import {
  between,
  bytes,
  chance,
  matrixFields,
  pick,
  productScratch,
  quantFields,
  randomLayer,
  randomQuant,
  rowsOf,
} from './random-layer.js';

/** One random case of an operator, for boards whose native layout is given. */
export type Generator = (rng: Rng, native: WeightLayout) => ProgramCase;

const arena = (at: number): number => reference('arena', at);
const layoutOf = (rng: Rng, native: WeightLayout): WeightLayout => (chance(rng, 0.15) ? 'rows' : native);
/** Rows may be padded, and need not start at a word. */
const strideOf = (rng: Rng, width: number): number => width + pick(rng, [0, 0, 0, 1, 3, 4, 16]);
const skewOf = (rng: Rng): number => pick(rng, [0, 0, 0, 1, 2, 3]);

function place(builder: CaseBuilder, rng: Rng, rows: readonly ArrayLike<number>[], stride: number): number {
  const values = strided(rows, stride);
  const at = builder.reserve(values.length, 4, skewOf(rng));
  builder.fill(at, values);
  return at;
}

/** Room for an output, with what must be there: gaps between rows stay as they were. */
function expectRows(
  builder: CaseBuilder,
  rng: Rng,
  rows: readonly ArrayLike<number>[],
  stride: number,
): number {
  const values = strided(rows, stride);
  const at = builder.reserve(values.length, 4, skewOf(rng));
  builder.expect(at, values);
  return at;
}

export const transposed = (rows: readonly number[][]): number[][] =>
  (rows[0] as number[]).map((_, j) => rows.map((row) => row[j] as number));

const linear: Generator = (rng, native) => {
  const layout = layoutOf(rng, native);
  const k = pick(rng, [between(rng, 1, 40), 16, 64, 512, 513, 516, 640, 1030]);
  const [rows, n] = [between(rng, 1, k > 200 ? 3 : 7), between(rng, 1, k > 200 ? 9 : 21)];
  const layer = randomLayer(rng, n, k);
  const builder = new CaseBuilder();
  const x = rowsOf(rng, rows, k);
  const inStride = strideOf(rng, k);
  const y = x.map((row) => exact.linear(row, layer));
  const transpose = chance(rng, 0.2);
  const outStride = strideOf(rng, transpose ? rows : n);
  builder.record({
    code: code.linear,
    ...matrixFields(builder, layer, layout, false, rows),
    in: arena(place(builder, rng, x, inStride)),
    inStride,
    out: arena(expectRows(builder, rng, transpose ? transposed(y) : y, outStride)),
    outStride: transpose ? 1 : outStride,
    rows: { rows, k, n, outColumnStride: transpose ? outStride : 1 },
  });
  return builder.build(`linear ${layout} ${rows}x${k}x${n}${transpose ? ' transposed' : ''}`);
};

export function randomWindow(rng: Rng, most = 4): exact.Window {
  const kernel = [between(rng, 1, most), between(rng, 1, most)] as const;
  const stride = [between(rng, 1, 3), between(rng, 1, 3)] as const;
  const dilation = [chance(rng, 0.8) ? 1 : 2, chance(rng, 0.8) ? 1 : 2] as const;
  const [inHeight, inWidth] = [between(rng, 1, 8), between(rng, 1, 8)];
  const padTop = between(rng, 0, kernel[0] - 1);
  const padLeft = between(rng, 0, kernel[1] - 1);
  // Bottom and right padding follow from the sizes; a window may even lie wholly outside.
  const outHeight = Math.max(1, Math.floor((inHeight + padTop - 1) / stride[0]) + pick(rng, [0, 0, 1]));
  const outWidth = Math.max(1, Math.floor((inWidth + padLeft - 1) / stride[1]) + pick(rng, [0, 0, 1]));
  return { inHeight, inWidth, outHeight, outWidth, kernel, stride, dilation, padTop, padLeft };
}

const conv2d: Generator = (rng, native) => {
  const layout = layoutOf(rng, native);
  const window = chance(rng, 0.2)
    ? { ...randomWindow(rng, 1), padTop: 0, padLeft: 0 } // pointwise
    : randomWindow(rng);
  const [channels, n] = [pick(rng, [between(rng, 1, 9), 16, 48]), between(rng, 1, 13)];
  const k = channels * window.kernel[0] * window.kernel[1];
  const layer = randomLayer(rng, n, k);
  const zeroIn = between(rng, -128, 127);
  const builder = new CaseBuilder();
  const x = rowsOf(rng, window.inHeight * window.inWidth, channels);
  const [inStride, outStride] = [strideOf(rng, channels), strideOf(rng, n)];
  builder.record({
    code: code.conv2d,
    ...matrixFields(builder, layer, layout, true, window.outWidth),
    zeroIn,
    in: arena(place(builder, rng, x, inStride)),
    inStride,
    out: arena(expectRows(builder, rng, exact.convolution(x, channels, window, zeroIn, layer), outStride)),
    outStride,
    window: { ...window, inChannels: channels, outChannels: n },
  });
  return builder.build(`conv2d ${layout} ${JSON.stringify({ ...window, channels, n })}`);
};

const depthwise: Generator = (rng) => {
  const window = randomWindow(rng);
  const channels = pick(rng, [between(rng, 1, 20), 16, 35, 64]);
  const count = window.kernel[0] * window.kernel[1];
  const layer = randomLayer(rng, channels, count); // weights [channel][tap]
  const c4 = Math.ceil(channels / 4) * 4;
  const byTap = new Int8Array(count * channels);
  const stored = new Int8Array(count * c4);
  for (let c = 0; c < channels; c++)
    for (let tap = 0; tap < count; tap++) {
      byTap[tap * channels + c] = layer.weights[c * count + tap] as number;
      stored[tap * c4 + c] = layer.weights[c * count + tap] as number;
    }
  const zeroIn = between(rng, -128, 127);
  const builder = new CaseBuilder();
  const x = rowsOf(rng, window.inHeight * window.inWidth, channels);
  const [inStride, outStride] = [strideOf(rng, channels), strideOf(rng, channels)];
  const y = exact.depthwise(x, channels, window, zeroIn, { ...layer, weights: byTap });
  builder.record({
    code: code.depthwise,
    ...quantFields(layer),
    zeroIn,
    weights: builder.constant(stored),
    bias: builder.padded(layer.bias, 16),
    multipliers: builder.padded(layer.multipliers, 16),
    scratch: arena(builder.reserve(channels)),
    in: arena(place(builder, rng, x, inStride)),
    inStride,
    out: arena(expectRows(builder, rng, y, outStride)),
    outStride,
    window: { ...window, inChannels: channels, outChannels: channels },
  });
  return builder.build(`depthwise ${JSON.stringify({ ...window, channels })}`);
};

const matmul: Generator = (rng, native) => {
  const [rows, k, n] = [between(rng, 1, 6), pick(rng, [between(rng, 1, 20), 64]), between(rng, 1, 11)];
  const byColumns = chance(rng, 0.5); // b stored as [k][n]
  const [a, b] = [rowsOf(rng, rows, k), rowsOf(rng, byColumns ? k : n, byColumns ? n : k)];
  const at = (i: number, j: number): number => (byColumns ? b[i]?.[j] : b[j]?.[i]) as number;
  const zeros = [between(rng, -128, 127), between(rng, -128, 127)] as const;
  const multiplier = Math.round(2 ** 32 / (250 * Math.sqrt(k)));
  const quant = randomQuant(rng);
  const y = a.map((row) => exact.product(row, at, n, zeros, multiplier, quant));
  const builder = new CaseBuilder();
  const [inStride, bStride] = [strideOf(rng, k), strideOf(rng, byColumns ? n : k)];
  const transpose = chance(rng, 0.2);
  const outStride = strideOf(rng, transpose ? rows : n);
  const scratch = builder.scratch(productScratch(native, k, rows));
  builder.record({
    code: code.matmul,
    ...quantFields(quant),
    zeroIn: zeros[0],
    zeroIn1: zeros[1],
    in: arena(place(builder, rng, a, inStride)),
    inStride,
    in1: chance(rng, 0.2) ? builder.constant(strided(b, bStride)) : arena(place(builder, rng, b, bStride)),
    in1Stride: byColumns ? 1 : bStride,
    out: arena(expectRows(builder, rng, transpose ? transposed(y) : y, outStride)),
    outStride: transpose ? 1 : outStride,
    ...(scratch !== undefined && { scratch }),
    rows: {
      rows,
      k,
      n,
      in1ColumnStride: byColumns ? bStride : 1,
      outColumnStride: transpose ? outStride : 1,
      multiplier,
    },
  });
  return builder.build(
    `matmul ${rows}x${k}x${n}${byColumns ? ' b [k][n]' : ''}${transpose ? ' transposed' : ''}`,
  );
};

/** The operators from rows of n to rows of n. */
function rowCase(
  rng: Rng,
  name: string,
  fields: (builder: CaseBuilder, rows: number, n: number) => Parameters<CaseBuilder['record']>[0],
  row: (x: Int8Array, r: number) => ArrayLike<number>,
  [rows, n]: readonly [number, number],
): ProgramCase {
  const builder = new CaseBuilder();
  const x = rowsOf(rng, rows, n);
  const inStride = strideOf(rng, n);
  const y = x.map(row);
  const record = fields(builder, rows, n);
  const at = place(builder, rng, x, inStride);
  const inPlace = chance(rng, 0.3);
  const outStride = inPlace ? inStride : strideOf(rng, n);
  if (inPlace) builder.expect(at, strided(y, outStride));
  builder.record({
    ...record,
    in: arena(at),
    inStride,
    out: arena(inPlace ? at : expectRows(builder, rng, y, outStride)),
    outStride,
  });
  return builder.build(`${name} ${rows}x${n}${inPlace ? ' in place' : ''}`);
}

const softmax: Generator = (rng) => {
  const scale = pick(rng, [0.001, 0.02, 0.1, 0.7]);
  const table = Uint16Array.from({ length: 256 }, (_, d) => Math.round(65535 * Math.exp(-d * scale)));
  const quant = { ...randomQuant(rng), zeroOut: -128 };
  const size = [between(rng, 1, 4), pick(rng, [between(rng, 1, 30), 197, 1000])] as const;
  return rowCase(
    rng,
    'softmax',
    (builder, rows, n) => ({
      code: code.softmax,
      ...quantFields(quant),
      weights: builder.constant(table),
      rows: { rows, n },
    }),
    (x) => exact.softmax(x, table, quant),
    size,
  );
};

const layerNorm: Generator = (rng) => {
  const [rows, n] = [between(rng, 1, 4), pick(rng, [1, between(rng, 2, 40), 192, 1024])];
  const shift = between(rng, 1, 16);
  const quant = randomQuant(rng);
  const norm = {
    epsilon: pick(rng, [1, 37, 100000]),
    gamma: Int32Array.from({ length: n }, () => between(rng, -60, 60) * 2 ** (shift + 7)),
    beta: Int32Array.from({ length: n }, () => between(rng, -40, 40) * 2 ** shift + 2 ** (shift - 1)),
  };
  return rowCase(
    rng,
    'layer norm',
    (builder) => ({
      code: code.layerNorm,
      ...quantFields(quant),
      shift,
      zeroOut: 0,
      multipliers: builder.constant(norm.gamma),
      bias: builder.constant(norm.beta),
      rows: { rows, n, multiplier: norm.epsilon },
    }),
    (x) => exact.layerNorm(x, norm, shift, quant),
    [rows, n],
  );
};

const table: Generator = (rng) => {
  const values = bytes(rng, 256);
  return rowCase(
    rng,
    'table',
    (builder, rows, n) => ({ code: code.table, weights: builder.constant(values), rows: { rows, n } }),
    (x) => x.map((v) => values[v + 128] as number),
    [between(rng, 1, 5), between(rng, 1, 70)],
  );
};

/** ADD and MULTIPLY: the second operand in the arena or the constants, whole or one repeated row. */
function binary(rng: Rng, name: string, second: 'add' | 'multiply'): ProgramCase {
  const [rows, n] = [between(rng, 1, 5), between(rng, 1, 40)];
  const repeated = chance(rng, 0.3);
  const other = rowsOf(rng, repeated ? 1 : rows, n);
  const in1Stride = repeated ? 0 : strideOf(rng, n);
  const shift = second === 'add' ? between(rng, 8, 20) : between(rng, 0, 3);
  const factor = (): number => Math.round((0.2 + rng.next()) * 2 ** shift * pick(rng, [1, -1]));
  const factors = [factor(), factor(), between(rng, -100, 100) * 2 ** shift] as const;
  const zeros = [between(rng, -128, 127), between(rng, -128, 127)] as const;
  const multiplier = Math.round(2 ** 32 / 2 ** shift / between(rng, 3, 400));
  const quant = randomQuant(rng, shift);
  const b = (r: number, i: number): number => other[repeated ? 0 : r]?.[i] as number;
  return rowCase(
    rng,
    name,
    (builder) => ({
      code: code[second],
      ...quantFields(quant),
      ...(second === 'multiply' && { zeroIn: zeros[0], zeroIn1: zeros[1] }),
      in1: chance(rng, 0.4)
        ? builder.constant(strided(other, in1Stride))
        : arena(place(builder, rng, other, in1Stride)),
      in1Stride,
      rows:
        second === 'add'
          ? { rows, n, multiplier: factors[0], multiplier1: factors[1], offset: factors[2] }
          : { rows, n, multiplier },
    }),
    (x, r) =>
      x.map((v, i) =>
        second === 'add'
          ? exact.add(v, b(r, i), factors, shift, quant)
          : exact.requantise((v - zeros[0]) * (b(r, i) - zeros[1]), multiplier, quant),
      ),
    [rows, n],
  );
}

function pool(rng: Rng, kind: 'averagePool' | 'maxPool'): ProgramCase {
  const window: exact.Window = randomWindow(rng);
  const channels = between(rng, 1, 9);
  const count = window.kernel[0] * window.kernel[1];
  const zeroIn = between(rng, -128, 127);
  const average = kind === 'averagePool';
  const quant = randomQuant(rng, average ? 2 : 0);
  const excludes = average && chance(rng, 0.5);
  const each = Int32Array.from({ length: count }, (_, i) => Math.round((0.9 * 2 ** 30) / (i + 1)));
  const multiplier = Math.round(2 ** 30 / count);
  const builder = new CaseBuilder();
  const x = rowsOf(rng, window.inHeight * window.inWidth, channels);
  const [inStride, outStride] = [strideOf(rng, channels), strideOf(rng, channels)];
  const y = average
    ? exact.averagePool(
        x,
        channels,
        window,
        zeroIn,
        (inside) => (excludes ? (inside === 0 ? 0 : (each[inside - 1] as number)) : multiplier),
        quant,
      )
    : exact.maxPool(x, channels, window, quant);
  builder.record({
    code: code[kind],
    ...quantFields(quant),
    ...(average && { zeroIn }),
    ...(excludes && { flags: flag.excludePad, multipliers: builder.constant(each) }),
    in: arena(place(builder, rng, x, inStride)),
    inStride,
    out: arena(expectRows(builder, rng, y, outStride)),
    outStride,
    window: {
      ...window,
      inChannels: channels,
      outChannels: channels,
      ...(average && !excludes && { multiplier }),
    },
  });
  return builder.build(`${kind} ${JSON.stringify({ ...window, channels, excludes })}`);
}

const transpose: Generator = (rng) => {
  const sizes = Array.from({ length: 4 }, () => between(rng, 1, 5));
  const order = [0, 1, 2, 3].sort(() => rng.next() - 0.5);
  // The input is dense in the permuted order; one axis may be repeated.
  const strides = [0, 0, 0, 0];
  let extent = 1;
  for (const axis of order) {
    if (chance(rng, 0.2)) continue;
    strides[axis] = extent;
    extent *= sizes[axis] as number;
  }
  const x = bytes(rng, extent);
  const y: number[] = [];
  const [s0, s1, s2, s3] = sizes as [number, number, number, number];
  for (let a = 0; a < s0; a++)
    for (let b = 0; b < s1; b++)
      for (let c = 0; c < s2; c++)
        for (let d = 0; d < s3; d++)
          y.push(x[[a, b, c, d].reduce((at, i, axis) => at + i * (strides[axis] as number), 0)] as number);
  const builder = new CaseBuilder();
  builder.record({
    code: code.transpose,
    in: arena(place(builder, rng, [x], 0)),
    out: arena(expectRows(builder, rng, [y], 0)),
    transpose: { sizes, strides },
  });
  return builder.build(`transpose ${sizes} by ${strides}`);
};

const copy: Generator = (rng) => {
  const size = [between(rng, 1, 5), between(rng, 1, 40)] as const;
  return rowCase(
    rng,
    'copy',
    (_, rows, n) => ({ code: code.copy, rows: { rows, n } }),
    (x) => x,
    size,
  );
};

const fill: Generator = (rng) => {
  const [rows, n, zeroOut] = [between(rng, 1, 4), between(rng, 1, 20), between(rng, -128, 127)];
  const builder = new CaseBuilder();
  const outStride = strideOf(rng, n);
  const y = Array.from({ length: rows }, () => new Int8Array(n).fill(zeroOut));
  builder.record({
    code: code.fill,
    zeroOut,
    out: arena(expectRows(builder, rng, y, outStride)),
    outStride,
    rows: { rows, n },
  });
  return builder.build(`fill ${rows}x${n}`);
};

const fetch: Generator = (rng) => {
  const builder = new CaseBuilder();
  const input = bytes(rng, between(rng, 8, 60));
  builder.input = new Uint8Array(input.buffer);
  const offset = between(rng, 0, 5);
  const n = between(rng, 1, input.length - offset);
  builder.record({
    code: code.fetch,
    out: arena(expectRows(builder, rng, [input.subarray(offset, offset + n)], 0)),
    rows: { rows: 1, n, offset },
  });
  return builder.build(`fetch ${n} bytes at ${offset}`);
};

/** A seed for which the stream of its first block would begin at 0: -0x9e3779b9 modulo 2^32. */
const stillSeed = 0x61c88647;

const generate: Generator = (rng, native) => {
  const layout = layoutOf(rng, native);
  const [n, k] = [between(rng, 1, 18), pick(rng, [between(rng, 1, 40), 16, 64, 129])];
  const seed = pick(rng, [0, 1, 0x7fffffff, -1, stillSeed, between(rng, -(2 ** 31), 2 ** 31 - 1)]);
  const block = pick(rng, [0, 0, between(rng, 0, 1000), -1, 2 ** 31 - 1]);
  const unit = layout === 'mve' ? 16 : 4;
  const [outputs, depth] = layout === 'rows' ? [n, k] : [Math.ceil(n / 4) * 4, Math.ceil(k / unit) * unit];
  const packed = packWeights(exact.generated(seed, block, outputs, depth), outputs, depth, layout);
  const builder = new CaseBuilder();
  const at = builder.reserve(packed.length);
  builder.expect(at, new Int8Array(packed.buffer, packed.byteOffset, packed.length));
  builder.record({
    code: code.generate,
    layout: weightLayouts.indexOf(layout),
    out: arena(at),
    rows: { rows: 1, k, n, multiplier: seed, offset: block },
  });
  return builder.build(`generate ${layout} ${n}x${k} of ${seed} from ${block}`);
};

const gather: Generator = (rng) => {
  const [rows, k, n] = [between(rng, 1, 9), between(rng, 1, 20), pick(rng, [1, 4, between(rng, 2, 40)])];
  const table = Int8Array.from({ length: k * n }, () => between(rng, -128, 127));
  const indices = Array.from({ length: rows }, () => between(rng, -k, k - 1));
  const builder = new CaseBuilder();
  const words = indices.map((index) => new Int8Array(Int32Array.of(index).buffer));
  const [inStride, outStride] = [strideOf(rng, 4), strideOf(rng, n)];
  const y = indices.map((index) => table.slice(((index + k) % k) * n, (((index + k) % k) + 1) * n));
  builder.record({
    code: code.gather,
    in: arena(place(builder, rng, words, inStride)),
    inStride,
    weights: builder.constant(table),
    out: arena(expectRows(builder, rng, y, outStride)),
    outStride,
    rows: { rows, k, n },
  });
  return builder.build(`gather ${rows} of ${k}x${n}`);
};

export const operatorCases: Readonly<Record<string, Generator>> = {
  gather,
  linear,
  conv2d,
  depthwise,
  matmul,
  softmax,
  layerNorm,
  table,
  add: (rng) => binary(rng, 'add', 'add'),
  multiply: (rng) => binary(rng, 'multiply', 'multiply'),
  averagePool: (rng) => pool(rng, 'averagePool'),
  maxPool: (rng) => pool(rng, 'maxPool'),
  transpose,
  copy,
  fill,
  fetch,
  generate,
};
