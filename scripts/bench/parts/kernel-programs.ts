/** One-operator programs for `bench kernels`: the shapes whose cost per MAC (or element) is reported. */
import {
  abi,
  ceilTo,
  code,
  headerBytes,
  magic,
  type RecordFields,
  recordBytes,
  reference,
  type WeightLayout,
  weightLayouts,
  writeRecord,
} from '../../../firmware-bridge/compiler/layout/format.js';

export interface KernelProgram {
  readonly name: string;
  readonly program: Uint8Array;
  /** What the cost is divided by: multiply-accumulates, or elements written. */
  readonly units: number;
  readonly unit: 'MAC' | 'element';
}

interface Draft {
  readonly record: (place: (bytes: number) => number, pool: number) => RecordFields;
  readonly units: number;
  readonly unit: 'MAC' | 'element';
}

const full = { low: -128, high: 127 };

/** Weights, biases and multipliers come from the pool: kernels take the same time for all values. */
const drafts = (layout: WeightLayout, side: number): Record<string, Draft> => {
  const arena = (at: number): number => reference('arena', at);
  const scratchOf = (k: number, gathers: boolean): number => {
    const k4 = ceilTo(k, 4);
    if (layout === 'mve') return gathers ? 2 * ceilTo(k, 16) : 0;
    return (layout === 'dsp' ? 4 : 2) * k4 + (gathers ? (layout === 'dsp' ? 2 : 1) * k4 : 0);
  };
  const constants = (pool: number) => ({ weights: pool, bias: pool, multipliers: pool, ...full });
  const linear = (rows: number, k: number, n: number): Draft => ({
    units: rows * k * n,
    unit: 'MAC',
    record: (place, pool) => ({
      code: code.linear,
      layout: weightLayouts.indexOf(layout),
      ...constants(pool),
      in: arena(place(rows * k)),
      inStride: k,
      out: arena(place(rows * n)),
      outStride: n,
      ...(layout !== 'mve' && { scratch: arena(place(scratchOf(k, false))) }),
      rows: { rows, k, n, outColumnStride: 1 },
    }),
  });
  const windowed = (
    kind: 'conv2d' | 'depthwise' | 'averagePool' | 'maxPool',
    c: number,
    n: number,
    kernel: number,
  ): Draft => ({
    units: side * side * kernel * kernel * c * (kind === 'conv2d' ? n : 1),
    unit: 'MAC',
    record: (place, pool) => ({
      code: code[kind],
      ...full,
      ...(kind === 'conv2d' && { layout: weightLayouts.indexOf(layout) }),
      ...((kind === 'conv2d' || kind === 'depthwise') && {
        ...constants(pool),
        scratch: arena(place(kind === 'conv2d' ? scratchOf(kernel * kernel * c, true) : ceilTo(c, 16))),
      }),
      in: arena(place(side * side * c)),
      inStride: c,
      out: arena(place(side * side * n)),
      outStride: n,
      window: {
        inHeight: side,
        inWidth: side,
        inChannels: c,
        outHeight: side,
        outWidth: side,
        outChannels: n,
        kernel: [kernel, kernel],
        stride: [1, 1],
        dilation: [1, 1],
        padTop: (kernel - 1) / 2,
        padLeft: (kernel - 1) / 2,
        ...(kind === 'averagePool' && { multiplier: 1 << 27 }),
      },
    }),
  });
  const matmul = (rows: number, k: number, n: number, byColumns: boolean): Draft => ({
    units: rows * k * n,
    unit: 'MAC',
    record: (place) => ({
      code: code.matmul,
      ...full,
      in: arena(place(rows * k)),
      inStride: k,
      in1: arena(place(k * n)),
      in1Stride: byColumns ? 1 : k,
      out: arena(place(rows * n)),
      outStride: n,
      scratch: arena(place(4 * ceilTo(k, 4))),
      rows: { rows, k, n, in1ColumnStride: byColumns ? n : 1, outColumnStride: 1, multiplier: 1 << 20 },
    }),
  });
  const byRow = (
    fields: (pool: number, at: number) => RecordFields,
    rows: number,
    n: number,
    two = false,
  ): Draft => ({
    units: rows * n,
    unit: 'element',
    record: (place, pool) => ({
      ...full,
      in: arena(place(rows * n)),
      inStride: n,
      out: arena(place(rows * n)),
      outStride: n,
      ...fields(pool, arena(place(two ? rows * n : 4))),
    }),
  });
  return {
    conv1x1_16_16: linear(side * side, 16, 16),
    conv1x1_16_64: linear(side * side, 16, 64),
    conv1x1_32_16: linear(side * side, 32, 16),
    conv1x1_64_64: linear(side * side, 64, 64),
    conv1x1_128_128: linear(side * side, 128, 128),
    conv1x1_192_192: linear(side * side, 192, 192),
    conv1x1_256_256: linear(side * side, 256, 256),
    conv3x3_16_16: windowed('conv2d', 16, 16, 3),
    conv3x3_32_32: windowed('conv2d', 32, 32, 3),
    conv3x3_64_64: windowed('conv2d', 64, 64, 3),
    conv3x3_3_16: windowed('conv2d', 3, 16, 3),
    depthwise3x3_16: windowed('depthwise', 16, 16, 3),
    depthwise3x3_64: windowed('depthwise', 64, 64, 3),
    depthwise3x3_256: windowed('depthwise', 256, 256, 3),
    depthwise5x5_64: windowed('depthwise', 64, 64, 5),
    fullyConnected_64_16: linear(1, 64, 16),
    fullyConnected_128_128: linear(1, 128, 128),
    fullyConnected_256_256: linear(1, 256, 256),
    matmulScores_16_64_196: matmul(16, 64, 196, false),
    matmulValues_16_196_64: matmul(16, 196, 64, true),
    averagePool3x3_64: windowed('averagePool', 64, 64, 3),
    maxPool3x3_64: windowed('maxPool', 64, 64, 3),
    softmax_196: byRow(
      (pool) => ({ code: code.softmax, weights: pool, zeroOut: -128, rows: { rows: 4, n: 196 } }),
      4,
      196,
    ),
    layerNorm_192: byRow(
      (pool) => ({
        code: code.layerNorm,
        shift: 8,
        bias: pool,
        multipliers: pool,
        rows: { rows: 4, n: 192, multiplier: 1 },
      }),
      4,
      192,
    ),
    table_192: byRow((pool) => ({ code: code.table, weights: pool, rows: { rows: 4, n: 192 } }), 4, 192),
    add_192: byRow(
      (_, other) => ({
        code: code.add,
        shift: 18,
        in1: other,
        in1Stride: 192,
        rows: { rows: 4, n: 192, multiplier: 1 << 17, multiplier1: 1 << 17 },
      }),
      4,
      192,
      true,
    ),
    multiply_192: byRow(
      (_, other) => ({
        code: code.multiply,
        in1: other,
        in1Stride: 192,
        rows: { rows: 4, n: 192, multiplier: 1 << 25 },
      }),
      4,
      192,
      true,
    ),
  };
};

/** `side`: of the square images. */
export function kernelPrograms(layout: WeightLayout, side: number, poolBytes: number): KernelProgram[] {
  return Object.entries(drafts(layout, side)).map(([name, { record, units, unit }]) => {
    let arenaBytes = 0;
    const fields = record(
      (bytes) => {
        const at = ceilTo(arenaBytes, 16);
        arenaBytes = at + bytes;
        return at;
      },
      reference('pool', 0),
    );
    const program = new Uint8Array(ceilTo(headerBytes + recordBytes, 16));
    const view = new DataView(program.buffer);
    view.setUint32(0, magic, true);
    view.setUint16(4, abi, true);
    view.setUint16(6, recordBytes, true);
    [program.length, 1, program.length, 0, arenaBytes, poolBytes, 0, 0, 0, 0].forEach((value, i) => {
      view.setUint32(8 + 4 * i, value, true);
    });
    writeRecord(view, headerBytes, fields);
    return { name, program, units, unit };
  });
}
