import type { ProgramRecord } from './program.js';

/** One run of one record: where its operands lie in this iteration, and how much of it runs. */
export interface Call {
  readonly record: ProgramRecord;
  readonly arena: Int8Array;
  /** Index of `in` in `inMemory`, and so on. */
  readonly in: number;
  readonly inMemory: Int8Array;
  readonly in1: number;
  readonly in1Memory: Int8Array;
  readonly out: number;
  readonly rows: number;
  /** Output rows of a windowed operator; `out` is where the first of them goes. */
  readonly firstRow: number;
  readonly endRow: number;
  readonly constants: RecordConstants;
}

/** A record's constants, decoded once. */
export interface RecordConstants {
  /** [n][k], or [tap][channel] for DEPTHWISE. Wide enough for what pool bytes may decode to. */
  readonly weights: Int16Array;
  readonly bias: Int32Array;
  readonly multipliers: Int32Array;
  /** TABLE. */
  readonly table: Int8Array;
  /** SOFTMAX. */
  readonly exponentials: Uint16Array;
  /** LSTM_CELL and GRU_CELL: one table behind the other. */
  readonly curves: Int16Array;
}

/** A 16-bit value, little endian, at any address. */
export const load16 = (memory: Int8Array, at: number): number =>
  ((memory[at] as number) & 0xff) | ((memory[at + 1] as number) << 8);

/** Writes a value as 16 bits, the nearest they hold. */
export function store16(memory: Int8Array, at: number, value: number): void {
  const held = clamp16(value);
  memory[at] = held;
  memory[at + 1] = held >> 8;
}

/** A 32-bit value, little endian, at any address. */
export const load32 = (memory: Int8Array, at: number): number =>
  (load16(memory, at) & 0xffff) | (load16(memory, at + 2) << 16);

export function store32(memory: Int8Array, at: number, value: number): void {
  for (let byte = 0; byte < 4; byte++) memory[at + byte] = value >> (8 * byte);
}

export const clamp16 = (value: number): number => (value < -32768 ? -32768 : value > 32767 ? 32767 : value);

/** clamp(zeroOut + ((int64(acc << shift) * m + 2^31) >> 32)), by halves of m so that doubles stay exact. */
export function requantised(accumulator: number, multiplier: number, record: ProgramRecord): number {
  const value = scaled(accumulator, multiplier, record);
  return value < record.low ? record.low : value > record.high ? record.high : value;
}

/** The same before the clamp. */
export function scaled(
  accumulator: number,
  multiplier: number,
  record: { readonly shift: number; readonly zeroOut: number },
): number {
  const a = accumulator << record.shift;
  const rest = a * (multiplier & 0xffff) + 2147483648;
  return record.zeroOut + Math.floor((a * (multiplier >> 16) + Math.floor(rest / 65536)) / 65536);
}
