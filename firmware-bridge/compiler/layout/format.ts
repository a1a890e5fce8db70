/** Numbers of the program format, ABI 5 (firmware-bridge/ABI.md; firmware/include/hilda_program.h says the same in C). */
export const abi = 5;
export const magic = 0x41444c48;
export const headerBytes = 64;
export const recordBytes = 96;
export const none = 0xffffffff;
export const maxOperators = 8192;
export const maxMembers = 64;

const space = { arena: 0, program: 1, pool: 2 } as const;

export const code = {
  linear: 1,
  conv2d: 2,
  depthwise: 3,
  matmul: 4,
  softmax: 5,
  layerNorm: 6,
  table: 7,
  add: 8,
  multiply: 9,
  averagePool: 10,
  maxPool: 11,
  transpose: 12,
  copy: 13,
  fill: 14,
  fetch: 15,
  loop: 16,
  window: 17,
  generate: 18,
  argMax: 19,
  lstmCell: 20,
  gruCell: 21,
  gather: 22,
} as const;

export const flag = { ringOut: 1, excludePad: 2, partialFirst: 4, wide: 8, last: 16, least: 32 } as const;

/** How LINEAR and CONV2D hold their weights; each core has one that is fast, and takes `rows` besides. */
export const weightLayouts = ['rows', 'scalar', 'dsp', 'mve'] as const;
export type WeightLayout = (typeof weightLayouts)[number];

export const ceilTo = (value: number, multiple: number): number => Math.ceil(value / multiple) * multiple;

/** A record's fields by name; what is left out is 0, references `none`. */
export interface RecordFields {
  readonly code: number;
  readonly flags?: number;
  readonly layout?: number;
  readonly shift?: number;
  readonly zeroIn?: number;
  readonly zeroIn1?: number;
  readonly zeroOut?: number;
  readonly low?: number;
  readonly high?: number;
  readonly count?: number;
  readonly in?: number;
  readonly in1?: number;
  readonly out?: number;
  readonly weights?: number;
  readonly bias?: number;
  readonly multipliers?: number;
  readonly scratch?: number;
  readonly inStride?: number;
  readonly in1Stride?: number;
  readonly outStride?: number;
  readonly inStep?: number;
  readonly in1Step?: number;
  readonly outStep?: number;
  readonly rows?: {
    readonly rows: number;
    readonly k?: number;
    readonly n?: number;
    readonly in1ColumnStride?: number;
    readonly outColumnStride?: number;
    readonly multiplier?: number;
    readonly multiplier1?: number;
    readonly offset?: number;
  };
  readonly window?: {
    readonly inHeight: number;
    readonly inWidth: number;
    readonly inChannels: number;
    readonly outHeight: number;
    readonly outWidth: number;
    readonly outChannels: number;
    readonly kernel: readonly [number, number];
    readonly stride: readonly [number, number];
    readonly dilation: readonly [number, number];
    readonly padTop: number;
    readonly padLeft: number;
    readonly multiplier?: number;
  };
  readonly transpose?: { readonly sizes: readonly number[]; readonly strides: readonly number[] };
}

export const reference = (where: keyof typeof space, offset: number): number =>
  ((space[where] << 30) | offset) >>> 0;

export function writeRecord(view: DataView, at: number, f: RecordFields): void {
  const i32 = (offset: number, value = 0): void => view.setInt32(at + offset, value | 0, true);
  const u16 = (offset: number, value = 0): void => view.setUint16(at + offset, value, true);
  const ref = (offset: number, value = none): void => view.setUint32(at + offset, value, true);
  [f.code, f.flags, f.layout, f.shift, f.zeroIn, f.zeroIn1, f.zeroOut, f.low, f.high].forEach(
    (value = 0, i) => {
      view.setInt8(at + i, value);
    },
  );
  u16(10, f.count);
  [f.in, f.in1, f.out, f.weights, f.bias, f.multipliers, f.scratch].forEach((value, i) => {
    ref(12 + 4 * i, value);
  });
  [f.inStride, f.in1Stride, f.outStride, f.inStep, f.in1Step, f.outStep].forEach((value, i) => {
    i32(40 + 4 * i, value);
  });
  if (f.rows) {
    const { rows, k, n, in1ColumnStride, outColumnStride, multiplier, multiplier1, offset } = f.rows;
    [rows, k, n, in1ColumnStride, outColumnStride, multiplier, multiplier1, offset].forEach((value, i) => {
      i32(64 + 4 * i, value);
    });
  }
  if (f.window) {
    const w = f.window;
    [w.inHeight, w.inWidth, w.inChannels, w.outHeight, w.outWidth, w.outChannels, ...w.kernel].forEach(
      (value, i) => {
        u16(64 + 2 * i, value);
      },
    );
    [...w.stride, ...w.dilation].forEach((value, i) => {
      view.setUint8(at + 80 + i, value);
    });
    u16(84, w.padTop);
    u16(86, w.padLeft);
    i32(88, w.multiplier);
  }
  if (f.transpose) {
    f.transpose.sizes.forEach((value, i) => {
      i32(64 + 4 * i, value);
    });
    f.transpose.strides.forEach((value, i) => {
      i32(80 + 4 * i, value);
    });
  }
}
