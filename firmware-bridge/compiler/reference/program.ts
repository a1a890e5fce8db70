import { HildaError } from '../../../daemon/core/errors.js';
import { abi, code, headerBytes, magic, none, recordBytes } from '../layout/format.js';

export interface ProgramHeader {
  readonly totalBytes: number;
  readonly operatorCount: number;
  readonly constantsOffset: number;
  readonly constantsBytes: number;
  readonly arenaBytes: number;
  readonly poolBytes: number;
  /** Undefined: the program fetches its input in slices. */
  readonly inputOffset: number | undefined;
  readonly inputBytes: number;
  readonly outputOffset: number;
  readonly outputBytes: number;
}

/** A record's fields as numbers (ABI.md, "Operator record"); `rows` and `window` overlay each other. */
export type ProgramRecord = ReturnType<typeof readRecord>;

/** Throws REQUEST_INVALID for bytes that are no program of this ABI. The full check is the firmware's. */
export function readHeader(program: Uint8Array): ProgramHeader {
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
  if (program.length < headerBytes || view.getUint32(0, true) !== magic)
    throw new HildaError('REQUEST_INVALID', 'the bytes are no program for the firmware');
  if (view.getUint16(4, true) !== abi || view.getUint16(6, true) !== recordBytes)
    throw new HildaError(
      'REQUEST_INVALID',
      `the program has ABI ${view.getUint16(4, true)}, this is ABI ${abi}`,
    );
  const u32 = (at: number): number => view.getUint32(at, true);
  return {
    totalBytes: u32(8),
    operatorCount: u32(12),
    constantsOffset: u32(16),
    constantsBytes: u32(20),
    arenaBytes: u32(24),
    poolBytes: u32(28),
    inputOffset: u32(32) === none ? undefined : u32(32),
    inputBytes: u32(36),
    outputOffset: u32(40),
    outputBytes: u32(44),
  };
}

export function readRecord(view: DataView, index: number) {
  const at = headerBytes + recordBytes * index;
  const i8 = (offset: number): number => view.getInt8(at + offset);
  const u8 = (offset: number): number => view.getUint8(at + offset);
  const u16 = (offset: number): number => view.getUint16(at + offset, true);
  const u32 = (offset: number): number => view.getUint32(at + offset, true);
  const i32 = (offset: number): number => view.getInt32(at + offset, true);
  return {
    index,
    code: u8(0),
    flags: u8(1),
    layout: u8(2),
    shift: u8(3),
    zeroIn: i8(4),
    zeroIn1: i8(5),
    zeroOut: i8(6),
    low: i8(7),
    high: i8(8),
    count: u16(10),
    in: u32(12),
    in1: u32(16),
    out: u32(20),
    weights: u32(24),
    bias: u32(28),
    multipliers: u32(32),
    inStride: u32(40),
    in1Stride: u32(44),
    outStride: u32(48),
    inStep: i32(52),
    in1Step: i32(56),
    outStep: i32(60),
    rows: {
      rows: u32(64),
      k: u32(68),
      n: u32(72),
      in1ColumnStride: u32(76),
      outColumnStride: u32(80),
      multiplier: i32(84),
      multiplier1: i32(88),
      offset: i32(92),
    },
    window: {
      inHeight: u16(64),
      inWidth: u16(66),
      inChannels: u16(68),
      outHeight: u16(70),
      outWidth: u16(72),
      outChannels: u16(74),
      kernelHeight: u16(76),
      kernelWidth: u16(78),
      strideHeight: u8(80),
      strideWidth: u8(81),
      dilationHeight: u8(82),
      dilationWidth: u8(83),
      padTop: u16(84),
      padLeft: u16(86),
      multiplier: i32(88),
    },
    sizes: [u32(64), u32(68), u32(72), u32(76)] as const,
    strides: [u32(80), u32(84), u32(88), u32(92)] as const,
  };
}

export const isGroup = (record: ProgramRecord): boolean =>
  record.code === code.loop || record.code === code.window;
