import { type Rng, randomInt } from '../../daemon/core/rng.js';
import {
  code,
  flag,
  reference,
  type WeightLayout,
  weightLayouts,
} from '../../firmware-bridge/compiler/layout/format.js';
import { packedBytes } from '../../firmware-bridge/compiler/layout/pack-weights.js';
import * as exact from './arithmetic.js';
import type { Generator } from './operator-cases.js';
import { CaseBuilder, strided } from './program-case.js';
import { between, bytes, chance, matrixFields, quantFields, randomLayer, rowsOf } from './random-layer.js';

/**
 * The fused forms, each against the plain sequence of its operators on whole tensors: what is fused, tiled, overwritten
 * or computed in row blocks must be the same to the bit.
 */
const arena = (at: number): number => reference('arena', at);

/** A LOOP over tiles of `tile` rows; `descending` starts at the highest tile, with the short one first. */
function tiles(rows: number, tile: number, descending: boolean) {
  const iterations = Math.ceil(rows / tile);
  return {
    record: (count: number) => ({
      code: code.loop,
      count,
      ...(descending && { flags: flag.partialFirst }),
      rows: { rows: iterations, k: rows % tile },
    }),
    /** Where a tensor's first tile lies, and how far it moves each iteration. */
    start: (base: number, stride: number): number =>
      base + (descending ? (iterations - 1) * tile * stride : 0),
    step: (stride: number): number => (descending ? -1 : 1) * tile * stride,
  };
}

const full = { zeroOut: 0, low: -128, high: 127, shift: 0 };

/** Norm, low-rank linear pair, table, linear, residual: MCUFormer's operator integration. */
const fusedChain: Generator = (rng, native) => {
  const [tokens, e, r, f] = [
    between(rng, 1, 13),
    between(rng, 4, 24),
    between(rng, 2, 12),
    between(rng, 4, 30),
  ];
  const tile = between(rng, 1, 5);
  const [a, b, c] = [randomLayer(rng, r, e), randomLayer(rng, f, r), randomLayer(rng, e, f)];
  const table = bytes(rng, 256);
  const norm = {
    epsilon: 5,
    gamma: Int32Array.from({ length: e }, () => between(rng, 10, 50) * 2 ** 15),
    beta: Int32Array.from({ length: e }, () => 128),
  };
  const factors = [200, 150, 3000] as const;
  const x = rowsOf(rng, tokens, e);
  const y = x.map((row) => {
    const hidden = exact.linear(exact.linear(exact.layerNorm(row, norm, 8, full), a), b);
    const branch = exact.linear(
      hidden.map((v) => table[v + 128] as number),
      c,
    );
    return row.map((v, i) => exact.add(branch[i] as number, v, factors, 8, full));
  });
  const builder = new CaseBuilder();
  const at = builder.reserve(tokens * e);
  builder.fill(at, strided(x, e));
  builder.expect(at, strided(y, e));
  const [s0, s1, s2, s3] = [e, r, f, e].map((width) => arena(builder.reserve(tile * width))) as [
    number,
    number,
    number,
    number,
  ];
  const walk = tiles(tokens, tile, chance(rng, 0.5));
  const moving = arena(walk.start(at, e));
  builder.record(walk.record(6));
  builder.record({
    code: code.layerNorm,
    ...quantFields(full),
    shift: 8,
    in: moving,
    inStride: e,
    inStep: walk.step(e),
    out: s0,
    outStride: e,
    multipliers: builder.constant(norm.gamma),
    bias: builder.constant(norm.beta),
    rows: { rows: tile, n: e, multiplier: norm.epsilon },
  });
  const step = (layer: exact.Layer, from: number, to: number): void =>
    builder.record({
      code: code.linear,
      ...matrixFields(builder, layer, native, false),
      in: from,
      inStride: layer.k,
      out: to,
      outStride: layer.n,
      rows: { rows: tile, k: layer.k, n: layer.n, outColumnStride: 1 },
    });
  step(a, s0, s1);
  step(b, s1, s2);
  builder.record({
    code: code.table,
    weights: builder.constant(table),
    in: s2,
    inStride: f,
    out: s2,
    outStride: f,
    rows: { rows: tile, n: f },
  });
  step(c, s2, s3);
  builder.record({
    code: code.add,
    ...quantFields(full),
    shift: 8,
    in: s3,
    inStride: e,
    in1: moving,
    in1Stride: e,
    in1Step: walk.step(e),
    out: moving,
    outStride: e,
    outStep: walk.step(e),
    rows: { rows: tile, n: e, multiplier: factors[0], multiplier1: factors[1], offset: factors[2] },
  });
  return builder.build(`fused chain of ${tokens} tokens, ${tile} at a time`);
};

/** Token overwriting: narrower outputs walk up, wider ones down, over the inputs they were made of. */
const overwriting: Generator = (rng, native) => {
  const [tokens, k, n] = [between(rng, 1, 17), between(rng, 1, 20), between(rng, 1, 20)];
  const tile = between(rng, 1, 4);
  const layer = randomLayer(rng, n, k);
  const x = rowsOf(rng, tokens, k);
  const builder = new CaseBuilder();
  const at = builder.reserve(tokens * Math.max(k, n));
  builder.fill(at, strided(x, k));
  builder.expect(
    at,
    strided(
      x.map((row) => exact.linear(row, layer)),
      n,
    ),
  );
  const copied = arena(builder.reserve(tile * k));
  const walk = tiles(tokens, tile, n > k);
  builder.record(walk.record(2));
  builder.record({
    code: code.copy,
    in: arena(walk.start(at, k)),
    inStride: k,
    inStep: walk.step(k),
    out: copied,
    outStride: k,
    rows: { rows: tile, n: k },
  });
  builder.record({
    code: code.linear,
    ...matrixFields(builder, layer, native, false),
    in: copied,
    inStride: k,
    out: arena(walk.start(at, n)),
    outStride: n,
    outStep: walk.step(n),
    rows: { rows: tile, k, n, outColumnStride: 1 },
  });
  return builder.build(`tokens of ${k} overwritten by tokens of ${n}, ${tile} at a time`);
};

/** Patch embedding, the image fetched one row of patches at a time. */
const patchRows: Generator = (rng, native) => {
  const [patch, across, down, n] = [
    between(rng, 1, 4),
    between(rng, 1, 4),
    between(rng, 1, 4),
    between(rng, 1, 9),
  ];
  const layer = randomLayer(rng, n, patch * patch * 3);
  const image = rowsOf(rng, across * down * patch * patch, 3);
  const window: exact.Window = {
    inHeight: patch * down,
    inWidth: patch * across,
    outHeight: down,
    outWidth: across,
    kernel: [patch, patch],
    stride: [patch, patch],
    dilation: [1, 1],
    padTop: 0,
    padLeft: 0,
  };
  const builder = new CaseBuilder();
  const packed = strided(image, 3);
  builder.input = new Uint8Array(packed.buffer);
  const strip = patch * patch * across * 3;
  const [held, tokens] = [builder.reserve(strip), builder.reserve(across * down * n)];
  builder.expect(tokens, strided(exact.convolution(image, 3, window, 0, layer), n));
  builder.record({ code: code.loop, count: 2, rows: { rows: down } });
  builder.record({
    code: code.fetch,
    inStep: strip,
    out: arena(held),
    rows: { rows: 1, n: strip, offset: 0 },
  });
  builder.record({
    code: code.conv2d,
    ...matrixFields(builder, layer, native, true),
    in: arena(held),
    inStride: 3,
    out: arena(tokens),
    outStride: n,
    outStep: across * n,
    window: { ...window, inHeight: patch, outHeight: 1, inChannels: 3, outChannels: n },
  });
  return builder.build(`${across}x${down} patches of ${patch}`);
};

/** One head of attention in row blocks: only a block of scores is ever held. */
const attention: Generator = (rng, native) => {
  const [tokens, e, d] = [between(rng, 1, 14), between(rng, 2, 12), between(rng, 2, 9)];
  const tile = between(rng, 1, 4);
  const query = randomLayer(rng, d, e);
  const [x, k, v] = [rowsOf(rng, tokens, e), rowsOf(rng, tokens, d), rowsOf(rng, tokens, d)];
  const exponentials = Uint16Array.from({ length: 256 }, (_, i) => Math.round(65535 * Math.exp(-i * 0.05)));
  const zeros = [between(rng, -20, 20), between(rng, -20, 20)] as const;
  const multiplier = Math.round(2 ** 32 / (220 * Math.sqrt(d)));
  const mixed = Math.round(2 ** 32 / 260);
  const y = x.map((row) => {
    const q = exact.linear(row, query);
    const scores = exact.product(q, (i, j) => k[j]?.[i] as number, tokens, zeros, multiplier, full);
    const weights = exact.softmax(scores, exponentials, { ...full, zeroOut: -128 });
    return exact.product(weights, (i, j) => v[i]?.[j] as number, d, [-128, zeros[1]], mixed, full);
  });
  const builder = new CaseBuilder();
  const place = (rows: readonly Int8Array[], width: number): number => {
    const at = builder.reserve(rows.length * width);
    builder.fill(at, strided(rows, width));
    return at;
  };
  const [xAt, kAt, vAt] = [place(x, e), place(k, d), place(v, d)];
  const out = builder.reserve(tokens * d);
  builder.expect(out, strided(y, d));
  const [q, scores] = [arena(builder.reserve(tile * d)), arena(builder.reserve(tile * tokens))];
  const walk = tiles(tokens, tile, false);
  builder.record(walk.record(4));
  builder.record({
    code: code.linear,
    ...matrixFields(builder, query, native, false),
    in: arena(xAt),
    inStride: e,
    inStep: walk.step(e),
    out: q,
    outStride: d,
    rows: { rows: tile, k: e, n: d, outColumnStride: 1 },
  });
  const product = {
    code: code.matmul,
    ...quantFields(full),
    zeroIn1: zeros[1],
    scratch: arena(builder.reserve(4 * Math.ceil(Math.max(d, tokens) / 4) * 4)),
  };
  builder.record({
    ...product,
    zeroIn: zeros[0],
    in: q,
    inStride: d,
    in1: arena(kAt),
    in1Stride: d,
    out: scores,
    outStride: tokens,
    rows: { rows: tile, k: d, n: tokens, in1ColumnStride: 1, outColumnStride: 1, multiplier },
  });
  builder.record({
    code: code.softmax,
    ...quantFields({ ...full, zeroOut: -128 }),
    weights: builder.constant(exponentials),
    in: scores,
    inStride: tokens,
    out: scores,
    outStride: tokens,
    rows: { rows: tile, n: tokens },
  });
  builder.record({
    ...product,
    zeroIn: -128,
    in: scores,
    inStride: tokens,
    in1: arena(vAt),
    in1Stride: 1,
    out: arena(out),
    outStride: d,
    outStep: walk.step(d),
    rows: { rows: tile, k: tokens, n: d, in1ColumnStride: d, outColumnStride: 1, multiplier: mixed },
  });
  return builder.build(`attention of ${tokens} tokens, ${tile} rows at a time`);
};

function channelsLast(layer: exact.Layer, taps: number) {
  const c4 = Math.ceil(layer.n / 4) * 4;
  const byTap = new Int8Array(taps * layer.n);
  const stored = new Int8Array(taps * c4);
  for (let c = 0; c < layer.n; c++)
    for (let tap = 0; tap < taps; tap++) {
      byTap[tap * layer.n + c] = layer.weights[c * taps + tap] as number;
      stored[tap * c4 + c] = layer.weights[c * taps + tap] as number;
    }
  return { exact: { ...layer, weights: byTap }, stored };
}

/** Expand, depthwise, project (and the residual) over a ring of rows; with stride 1 the output overwrites the input. */
const expandDepthwiseProject: Generator = (rng, native) => {
  const [height, width, c, wide] = [
    between(rng, 1, 7),
    between(rng, 1, 6),
    between(rng, 1, 6),
    between(rng, 2, 18),
  ];
  const stride = 1 + randomInt(rng, 2);
  const side = 1 + 2 * randomInt(rng, 2);
  const [outHeight, outWidth] = [Math.ceil(height / stride), Math.ceil(width / stride)];
  const window: exact.Window = {
    inHeight: height,
    inWidth: width,
    outHeight,
    outWidth,
    kernel: [side, side],
    stride: [stride, stride],
    dilation: [1, 1],
    padTop: (side - 1) / 2,
    padLeft: (side - 1) / 2,
  };
  const [expand, middle, project] = [
    randomLayer(rng, wide, c),
    randomLayer(rng, wide, side * side),
    randomLayer(rng, c, wide),
  ];
  const depth = channelsLast(middle, side * side);
  const zero = expand.zeroOut;
  const factors = [130, 120, 700] as const;
  const x = rowsOf(rng, height * width, c);
  const projected = exact
    .depthwise(
      x.map((row) => exact.linear(row, expand)),
      wide,
      window,
      zero,
      depth.exact,
    )
    .map((row) => exact.linear(row, project));
  const residual = stride === 1;
  const y = residual
    ? projected.map((row, p) => row.map((v, i) => exact.add(v, x[p]?.[i] as number, factors, 8, full)))
    : projected;
  const builder = new CaseBuilder();
  const ringRows = side + randomInt(rng, 2);
  const at = builder.reserve(height * width * c);
  builder.fill(at, strided(x, c));
  const out = residual ? at : builder.reserve(outHeight * outWidth * c);
  builder.expect(out, strided(y, c));
  const [ring, row, line] = [
    arena(builder.reserve(ringRows * width * wide)),
    arena(builder.reserve(outWidth * wide)),
    arena(builder.reserve(outWidth * c)),
  ];
  builder.record({
    code: code.window,
    count: residual ? 4 : 3,
    window: {
      inHeight: 0,
      inWidth: 0,
      inChannels: 0,
      outHeight,
      outWidth: 0,
      outChannels: 0,
      kernel: [1, 0],
      stride: [0, 0],
      dilation: [0, 0],
      padTop: 0,
      padLeft: 0,
    },
  });
  builder.record({
    code: code.linear,
    flags: flag.ringOut,
    ...matrixFields(builder, expand, native, false),
    in: arena(at),
    inStride: c,
    inStep: width * c,
    out: ring,
    outStride: wide,
    outStep: width * wide,
    rows: { rows: width, k: c, n: wide, outColumnStride: 1 },
  });
  builder.record({
    code: code.depthwise,
    count: ringRows,
    ...quantFields(middle),
    zeroIn: zero,
    weights: builder.constant(depth.stored),
    bias: builder.padded(middle.bias, 16),
    multipliers: builder.padded(middle.multipliers, 16),
    scratch: arena(builder.reserve(Math.ceil(wide / 16) * 16)),
    in: ring,
    inStride: wide,
    out: row,
    outStride: wide,
    window: { ...window, inChannels: wide, outChannels: wide },
  });
  builder.record({
    code: code.linear,
    ...matrixFields(builder, project, native, false),
    in: row,
    inStride: wide,
    out: residual ? line : arena(out),
    outStride: c,
    outStep: residual ? 0 : outWidth * c,
    rows: { rows: outWidth, k: wide, n: c, outColumnStride: 1 },
  });
  if (residual)
    builder.record({
      code: code.add,
      ...quantFields(full),
      shift: 8,
      in: line,
      inStride: c,
      in1: arena(at),
      in1Stride: c,
      in1Step: width * c,
      out: arena(at),
      outStride: c,
      outStep: width * c,
      rows: { rows: width, n: c, multiplier: factors[0], multiplier1: factors[1], offset: factors[2] },
    });
  return builder.build(`expand, depthwise ${side}x${side} by ${stride}, project on ${height}x${width}`);
};

/** A layer whose weights are generated tile by tile of its outputs, each with its biases and multipliers. */
const generatedTiles: Generator = (rng, native) => {
  const layout = chance(rng, 0.15) ? 'rows' : native;
  const [rows, k, tile] = [between(rng, 1, 6), between(rng, 1, 60), 4 * between(rng, 1, 3)];
  const tiles = between(rng, 1, 5);
  const n = tile * tiles;
  const [seed, block] = [between(rng, -(2 ** 31), 2 ** 31 - 1), between(rng, 0, 9)];
  const layer = { ...randomLayer(rng, n, k), weights: exact.generated(seed, block, n, k) };
  const x = rowsOf(rng, rows, k);
  const builder = new CaseBuilder();
  const [at, to] = [builder.reserve(rows * k), builder.reserve(rows * n)];
  builder.fill(at, strided(x, k));
  builder.expect(
    to,
    strided(
      x.map((row) => exact.linear(row, layer)),
      n,
    ),
  );
  const first = { ...layer, n: tile, weights: layer.weights.subarray(0, tile * k) };
  const {
    weights: _,
    bias: __,
    multipliers: ___,
    ...fields
  } = matrixFields(builder, first, layout, false, rows);
  const ends = Array.from({ length: tiles }, (_, i) => [i * tile, (i + 1) * tile] as const);
  const walked = ends.flatMap(([from, end]) => [
    ...layer.bias.subarray(from, end),
    ...layer.multipliers.subarray(from, end),
  ]);
  const weights = arena(builder.reserve(packedBytes(tile, k, layout)));
  const biases = arena(builder.reserve(8 * tile));
  builder.record({ code: code.loop, count: 3, rows: { rows: tiles } });
  builder.record({
    code: code.generate,
    layout: weightLayouts.indexOf(layout),
    inStep: tile / 4,
    out: weights,
    rows: { rows: 1, k, n: tile, multiplier: seed, offset: block },
  });
  builder.record({
    code: code.copy,
    in: builder.constant(Int32Array.from(walked)),
    inStride: 8 * tile,
    inStep: 8 * tile,
    out: biases,
    outStride: 8 * tile,
    rows: { rows: 1, n: 8 * tile },
  });
  builder.record({
    code: code.linear,
    ...fields,
    weights,
    bias: biases,
    multipliers: biases + 4 * tile,
    in: arena(at),
    inStride: k,
    out: arena(to),
    outStride: n,
    outStep: tile,
    rows: { rows, k, n: tile, outColumnStride: 1 },
  });
  return builder.build(`${n}x${k} generated by ${layout} tiles of ${tile}, ${rows} rows`);
};

export const groupCases: Readonly<Record<string, (rng: Rng, native: WeightLayout) => ReturnType<Generator>>> =
  {
    fusedChain,
    overwriting,
    patchRows,
    attention,
    expandDepthwiseProject,
    generatedTiles,
  };
